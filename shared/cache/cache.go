// Package cache keeps in memory, for a short and bounded time, what was read from a store.
package cache

import (
	"container/list"
	"sync"
	"time"
)

// Cache keeps up to Size values for TTL after the moment at which their reading began. Make it with New. It is safe for
// concurrent use.
type Cache[K comparable, V any] struct {
	ttl  time.Duration
	size int
	now  func() time.Time

	mu    sync.Mutex
	byKey map[K]*list.Element
	order *list.List // oldest first
}

type entry[K comparable, V any] struct {
	key    K
	value  V
	readAt time.Time
}

// New makes a cache. Size is at least 1.
func New[K comparable, V any](ttl time.Duration, size int, now func() time.Time) *Cache[K, V] {
	return &Cache[K, V]{ttl: ttl, size: max(size, 1), now: now, byKey: map[K]*list.Element{}, order: list.New()}
}

// Get gives a value that is young enough.
func (c *Cache[K, V]) Get(key K) (V, bool) { return c.GetWithin(key, c.ttl) }

// GetWithin is Get for a caller who wants it younger than the cache's own bound.
func (c *Cache[K, V]) GetWithin(key K, ttl time.Duration) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		var none V
		return none, false
	}
	en := e.Value.(entry[K, V])
	age := c.now().Sub(en.readAt)
	if age >= c.ttl || age < 0 {
		c.remove(e)
	}
	if age >= min(ttl, c.ttl) || age < 0 {
		var none V
		return none, false
	}
	return en.value, true
}

// Put keeps a value whose reading began at readAt, unless the cache has one that was read later.
func (c *Cache[K, V]) Put(key K, value V, readAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		if e.Value.(entry[K, V]).readAt.After(readAt) {
			return
		}
		c.remove(e)
	}
	for c.order.Len() >= c.size {
		c.remove(c.order.Front())
	}
	c.byKey[key] = c.order.PushBack(entry[K, V]{key, value, readAt})
}

// Forget drops a value.
func (c *Cache[K, V]) Forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.remove(e)
	}
}

// Load gives a kept value, or reads it and keeps it. Errors are not kept.
func (c *Cache[K, V]) Load(key K, read func() (V, error)) (V, error) {
	return c.LoadWithin(key, c.ttl, read)
}

// LoadWithin is Load for a caller who wants a value younger than the cache's own bound.
func (c *Cache[K, V]) LoadWithin(key K, ttl time.Duration, read func() (V, error)) (V, error) {
	if v, ok := c.GetWithin(key, ttl); ok {
		return v, nil
	}
	at := c.now()
	v, err := read()
	if err == nil {
		c.Put(key, v, at)
	}
	return v, err
}

func (c *Cache[K, V]) remove(e *list.Element) {
	delete(c.byKey, e.Value.(entry[K, V]).key)
	c.order.Remove(e)
}
