package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
)

const (
	// horizon is how far ahead of its time a scheduled message's reference is queued, with a delay until then: more than
	// passes between two runs of the schedule.
	horizon       = 2 * time.Minute
	scheduledPage = 100
)

// Scheduled sets messages going whose time comes. It opens nothing and decides nothing: a dispatcher finds them queued.
type Scheduled struct {
	Messages interface {
		Due(ctx context.Context, shard string, before time.Time, p attr.Page) ([]message.Due, string, error)
		OnItsWay(ctx context.Context, d message.Due) error
	}
	Queue        *queue.Queue
	Now          func() time.Time
	WritesAtOnce int
}

// Run queues the references of what is due before the horizon, shard by shard side by side, and gives how many. What it
// leaves, because the time was up or a write failed, is found by the next run.
func (s *Scheduled) Run(ctx, work context.Context) (int, error) {
	var (
		mu    sync.Mutex
		sum   int
		group errgroup.Group
	)
	for i := range message.ScheduledShards {
		group.Go(func() error {
			n, err := s.shard(ctx, work, message.ScheduledShard(i))
			mu.Lock()
			defer mu.Unlock()
			sum += n
			return err
		})
	}
	err := group.Wait()
	return sum, err
}

func (s *Scheduled) shard(ctx, work context.Context, shard string) (int, error) {
	sum, page, before := 0, attr.Page{Size: scheduledPage}, s.Now().Add(horizon)
	for work.Err() == nil {
		list, next, err := s.Messages.Due(ctx, shard, before, page)
		if err != nil {
			return sum, fmt.Errorf("scheduled messages of shard %s: %w", shard, err)
		}
		for len(list) > 0 {
			now := list[:min(len(list), queue.BatchSize)]
			list = list[len(now):]
			n, err := s.queue(ctx, now)
			sum += n
			if err != nil {
				return sum, err
			}
		}
		if page.Token = next; next == "" {
			break
		}
	}
	return sum, nil
}

// queue queues references, and takes their messages off the list. A message that stays on it is queued again, which changes
// nothing.
func (s *Scheduled) queue(ctx context.Context, list []message.Due) (int, error) {
	refs, now := make([]queue.Delayed, len(list)), s.Now()
	for i, d := range list {
		refs[i] = queue.Delayed{AccountID: d.AccountID, Message: d.ID, Delay: queue.DelayUntil(d.SendAt, now)}
	}
	failed, err := s.Queue.SendBatch(ctx, "", refs)
	if err != nil {
		return 0, fmt.Errorf("queue scheduled messages: %w", err)
	}
	missing := map[id.Message]bool{}
	for _, m := range failed {
		missing[m] = true
	}
	var group errgroup.Group
	group.SetLimit(s.WritesAtOnce)
	for _, d := range list {
		if !missing[d.ID] {
			group.Go(func() error { return s.Messages.OnItsWay(ctx, d) })
		}
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("take scheduled messages off the list: %w", err)
	}
	return len(list) - len(failed), nil
}
