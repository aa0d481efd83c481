package channel

import (
	"context"
	"sync"
	"time"

	"contactcenter/shared/cache"
)

const (
	// CacheAge is how old a channel may be that a Cache gives.
	CacheAge  = 5 * time.Second
	cacheSize = 10_000
)

// Getter gives channels: a Store does.
type Getter interface {
	Get(ctx context.Context, id string) (Channel, error)
}

// Cache gives channels at most CacheAge old, from memory when it can. That a channel is missing is not kept. It is safe
// for concurrent use; don't copy it.
type Cache struct {
	Store Getter
	Now   func() time.Time

	once     sync.Once
	channels *cache.Cache[string, Channel]
}

func (c *Cache) kept() *cache.Cache[string, Channel] {
	c.once.Do(func() { c.channels = cache.New[string, Channel](CacheAge, cacheSize, c.Now) })
	return c.channels
}

// Get gives a channel, or ErrNotFound.
func (c *Cache) Get(ctx context.Context, id string) (Channel, error) {
	return c.kept().Load(id, func() (Channel, error) { return c.Store.Get(ctx, id) })
}

// Forget makes the next Get read the channel anew: after a write of one's own.
func (c *Cache) Forget(id string) { c.kept().Forget(id) }
