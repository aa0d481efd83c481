package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/attr"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

const (
	heldPage = 100
	// releaseMost and scanMost bound what one look at an account releases and reads, so that no account keeps a shard
	// waiting.
	releaseMost = 2000
	scanMost    = 10_000
	expireBatch = 20
	// turn is what a dispatcher needs for one message and more. Messages to one person that became visible together would
	// meet each other on their way and wait for each other, a little longer each time.
	turn = time.Second
)

// releasing goes once through an account's held messages, oldest first.
type releasing struct {
	*Reset
	gate  usage.Gate
	terms usage.Terms
	// restrictions are those in force.
	restrictions restriction.Set
	sum          *ShardSummary

	// room is how many units are free; start, of single messages and of those of batches, and interval spread the released messages at the plan's rate.
	room                            int64
	start, startOfBatches, interval time.Duration
	// turns are when the next message of a conversation may come, of those that have been released already.
	turns map[string]time.Duration
	// stuck are conversations with a message that stays held: the later ones stay behind it.
	stuck map[string]bool
	// obstacles by channel.
	obstacles map[string]string
	batch     []held
	count     int
	late      []message.Message
	// events are what happened, to be told at the end.
	events []event.Event

	// left says that something could be done and was not. Span is how long the released messages are spread over.
	// NextExpiry is when the first of those that stay expires; zero: none does.
	left       bool
	span       time.Duration
	nextExpiry time.Time
}

// held is a message that is being released, and when it is to become visible to the dispatcher.
type held struct {
	message message.Message
	delay   time.Duration
}

// verdict is what is to be done with a held message.
type verdict int

const (
	stays verdict = iota
	goes
	// wakes: an entry whose holder is gone holds the message. The dispatcher takes it over.
	wakes
	expires
	// waits: it could go, and there is no more time or no more space in the queue's delay.
	waits
)

func (rel *releasing) run(ctx, work context.Context) error {
	now := rel.Now()
	rel.stuck, rel.obstacles, rel.turns, rel.room = map[string]bool{}, map[string]string{}, map[string]time.Duration{}, rel.gate.Remaining
	if rate := rel.terms.Rate; rate.Limit > 0 {
		rel.interval = rate.Window / time.Duration(rate.Limit)
		rel.start = max(rel.gate.Wait(now, rate, 1), rel.gate.Line.Sub(now), 0)
		rel.startOfBatches = max(rel.start, rel.gate.BatchLine.Sub(now))
	}
	page := attr.Page{Size: heldPage}
	for scanned := 0; ; {
		list, next, err := rel.Messages.HeldStandings(ctx, rel.gate.AccountID, page)
		if err != nil {
			return fmt.Errorf("held messages: %w", err)
		}
		scanned += len(list)
		for _, m := range list {
			if err := rel.decide(ctx, work, m); err != nil {
				return err
			}
		}
		if next == "" {
			break
		}
		if scanned >= scanMost || work.Err() != nil || rel.count >= releaseMost {
			rel.left = true
			break
		}
		page.Token = next
	}
	return errors.Join(rel.flush(ctx), rel.expire(ctx))
}

// decide puts a message where its verdict says, and sends off what is complete.
func (rel *releasing) decide(ctx, work context.Context, m message.Message) error {
	v, err := rel.judge(ctx, work, m)
	if err != nil {
		return err
	}
	switch v {
	case goes, wakes:
		if v == goes {
			rel.room--
		}
		delay := rel.delay(m)
		rel.turns[m.ID.Conversation] = delay + turn
		rel.batch = append(rel.batch, held{message: m, delay: delay})
		rel.count++
	case expires:
		rel.late = append(rel.late, m)
	case waits:
		rel.left = true
		rel.stay(m)
	default:
		rel.stay(m)
	}
	if len(rel.batch) == queue.BatchSize {
		return rel.flush(ctx)
	}
	if len(rel.late) == expireBatch {
		return rel.expire(ctx)
	}
	return nil
}

func (rel *releasing) stay(m message.Message) {
	rel.stuck[m.ID.Conversation] = true
	if !m.ExpiresAt.IsZero() && (rel.nextExpiry.IsZero() || m.ExpiresAt.Before(rel.nextExpiry)) {
		rel.nextExpiry = m.ExpiresAt
	}
}

// judge asks what would hold the message now; why it was held does not matter any more.
func (rel *releasing) judge(ctx, work context.Context, m message.Message) (verdict, error) {
	now := rel.Now()
	entry, claimed := rel.gate.Entries[m.ID.Unique]
	switch {
	case work.Err() != nil:
		return waits, nil
	case claimed && now.Before(entry.Expires):
		return waits, nil // somebody is at work on it
	case !claimed && !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt):
		return expires, nil
	case rel.count >= releaseMost || rel.delay(m) > queue.MaxDelay:
		return waits, nil
	case claimed:
		return wakes, nil // also out of turn: an entry that stays would hold its unit, and its period, open
	case rel.stuck[m.ID.Conversation]:
		return stays, nil
	case rel.gate.Blocked, m.OnLimit == message.Hold && rel.room <= 0, rel.restricted(m):
		return stays, nil
	}
	obstacle, err := rel.obstacle(ctx, m.ChannelID)
	switch {
	case err != nil:
		return stays, err
	case obstacle == message.HeldProviderDisabled, obstacle != "" && obstacle == m.HeldReason:
		return stays, nil
	}
	return goes, nil
}

// restricted reports whether a restriction of provider, channel or recipient still holds the message. Which recipients a message is
// for is not known here: for those the restriction counts that it was held for.
func (rel *releasing) restricted(m message.Message) bool {
	if _, blocked := rel.restrictions.Blocking(restriction.Way{ProviderID: m.ProviderID, ChannelID: m.ChannelID}); blocked {
		return true
	}
	by, inForce := rel.restrictions.Find(m.HeldBy)
	return inForce && (by.Kind == restriction.Block || rel.Now().Before(m.ReleaseAt))
}

// delay is when a message is to become visible: at the plan's rate, and after the one before it to the same person.
func (rel *releasing) delay(m message.Message) time.Duration {
	start := rel.start
	if m.ID.OfBatch() {
		start = rel.startOfBatches
	}
	return max(start+time.Duration(rel.count)*rel.interval, rel.turns[m.ID.Conversation])
}

func (rel *releasing) obstacle(ctx context.Context, channelID string) (string, error) {
	if reason, ok := rel.obstacles[channelID]; ok {
		return reason, nil
	}
	reason, err := rel.Channels.Obstacle(ctx, channelID)
	if err != nil {
		return "", fmt.Errorf("channel %s: %w", channelID, err)
	}
	rel.obstacles[channelID] = reason
	return reason, nil
}

// flush queues the references of the batch, then releases its messages. A message whose reference was not queued stays
// held, and with it the later ones of its conversation.
func (rel *releasing) flush(ctx context.Context) error {
	batch := rel.batch
	rel.batch = nil
	if len(batch) == 0 {
		return nil
	}
	list := make([]queue.Delayed, len(batch))
	for i, b := range batch {
		list[i] = queue.Delayed{Message: b.message.ID, Delay: b.delay}
	}
	failed, err := rel.Queue.SendBatch(ctx, rel.gate.AccountID, list)
	if err != nil {
		return fmt.Errorf("queue released messages: %w", err)
	}
	missing, broken := make(map[id.Message]bool, len(failed)), map[string]bool{}
	for _, mid := range failed {
		missing[mid], rel.left = true, true
	}
	var (
		mu    sync.Mutex
		group errgroup.Group
	)
	group.SetLimit(rel.WritesAtOnce)
	for _, b := range batch {
		if conversation := b.message.ID.Conversation; missing[b.message.ID] || broken[conversation] {
			broken[conversation] = true
			rel.stay(b.message)
			continue
		}
		rel.span = max(rel.span, b.delay)
		group.Go(func() error {
			written, err := rel.Messages.Release(ctx, b.message, rel.Now())
			if errors.Is(err, message.ErrNotFound) {
				return nil // erased meanwhile
			}
			if err != nil {
				return fmt.Errorf("release message %s: %w", b.message.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if written.Applied {
				rel.sum.Released++
			}
			return nil
		})
	}
	return group.Wait()
}

// expire ends held messages whose time has passed: claimed without a unit, ended, settled. Those that somebody else
// has claimed are left to him.
func (rel *releasing) expire(ctx context.Context) error {
	late := rel.late
	rel.late = nil
	mine, gate, err := rel.take(ctx, late)
	if err != nil || len(mine) == 0 {
		return err
	}
	var (
		mu      sync.Mutex
		settled []usage.Settlement
		group   errgroup.Group
		expired = message.ExpiredProblem()
	)
	group.SetLimit(rel.WritesAtOnce)
	for _, e := range mine {
		group.Go(func() error {
			written, err := rel.Messages.End(ctx, rel.gate.AccountID, e.Message, e.Lease, message.Ending{Status: message.Expired, At: rel.Now(), Problem: &expired})
			gone := errors.Is(err, message.ErrNotFound)
			if err != nil && !gone {
				return fmt.Errorf("expire message %s: %w", e.Message, err)
			}
			standing := usage.Standing{Final: gone || written.Applied || written.Message.Final(), Claim: written.Message.Claim}
			mu.Lock()
			defer mu.Unlock()
			if s, final := standing.Settlement(e); final {
				settled = append(settled, s)
			}
			if written.Applied {
				rel.sum.Expired++
				if happened, ok := written.Message.Event(message.Expired); ok {
					rel.events = append(rel.events, happened)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	if e := rel.Usage.Settle(ctx, gate, settled); e != nil {
		err = errors.Join(err, fmt.Errorf("settle expired messages: %w", e))
	}
	return err
}

// take claims messages without a unit. What another holds is left out.
func (rel *releasing) take(ctx context.Context, late []message.Message) ([]usage.Entry, usage.Gate, error) {
	const tries = 3
	gate := rel.gate
	for range tries {
		var ids []id.Message
		for _, m := range late {
			if _, held := gate.Entries[m.ID.Unique]; !held {
				ids = append(ids, m.ID)
			}
		}
		if len(ids) < len(late) {
			rel.left = true
		}
		if len(ids) == 0 {
			return nil, gate, nil
		}
		nonce, err := rel.nonce()
		if err != nil {
			return nil, gate, err
		}
		taken, err := rel.Usage.Take(ctx, rel.gate.AccountID, ids, nonce)
		refused := new(usage.Refused)
		if errors.As(err, &refused) {
			gate = refused.Gate
			continue
		}
		if err != nil {
			return nil, gate, fmt.Errorf("claim expired messages: %w", err)
		}
		mine := make([]usage.Entry, 0, len(ids))
		for _, mid := range ids {
			if e, ok := taken.Entries[mid.Unique]; ok && e.Nonce == nonce {
				mine = append(mine, e)
			}
		}
		return mine, taken, nil
	}
	rel.left = true
	return nil, gate, nil
}
