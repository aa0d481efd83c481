package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/queue"
	"contactcenter/shared/usage"
)

const (
	// again is when an account is looked at again in which something is left, or was changed just now: what was held
	// in the same moment may not have been in sight.
	again = time.Minute
	// staleness is how long a dispatcher may go on by what it knew before the gate was made due.
	staleness = usage.Lease + 5*time.Second

	rounds = 8
)

// terms gives an account's terms and restrictions, read anew.
type terms interface {
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
}

// channels names what stands in the way of a channel's messages: message.HeldProviderDisabled, HeldChannelInactive, or
// "" for nothing. A channel or provider that is gone for good is no obstacle: the dispatcher says what becomes of the
// messages.
type channels interface {
	Obstacle(ctx context.Context, channelID string) (reason string, err error)
}

// Reset does for one account what is due: it resolves what was left in the ledger, closes the period that is over,
// exports it, releases held messages as far as there is room, and ends those that have expired.
type Reset struct {
	Usage    *usage.Store
	Messages *message.Store
	Queue    *queue.Queue
	Terms    terms
	Channels channels
	Now      func() time.Time
	Random   io.Reader
	// Events publishes what happened, to accounts that listen.
	Events interface {
		Publish(ctx context.Context, list ...event.Event) error
	}
	// WritesAtOnce bounds the message writes of one account that run side by side.
	WritesAtOnce int
}

// Account resets one account, unless it turns out not to be due and asked says nothing else. No new work is begun
// after work has ended.
func (r *Reset) Account(ctx, work context.Context, accountID string, asked bool) (ShardSummary, error) {
	sum := ShardSummary{Accounts: 1}
	g, err := r.Usage.Read(ctx, accountID, true)
	if errors.Is(err, usage.ErrNoGate) {
		return sum, nil // nothing was ever sent
	}
	if err != nil {
		sum.Failed = 1
		return sum, fmt.Errorf("reset: %w", err)
	}
	if at, ok := usage.DueTime(g.Due); ok && at.After(r.Now()) && !asked {
		return sum, nil // the index has not followed yet
	}
	next, err := r.account(ctx, work, &g, &sum)
	if err != nil {
		// An account that fails goes to the end of the line.
		sum.Failed = 1
		next = r.Now().Add(again)
	}
	return sum, errors.Join(err, r.postpone(ctx, g, next))
}

// account does the work and says when to look again; g is the gate as it was seen last before the held messages were.
func (r *Reset) account(ctx, work context.Context, g *usage.Gate, sum *ShardSummary) (time.Time, error) {
	st, err := r.Terms.Standing(ctx, g.AccountID, true)
	if err != nil {
		return time.Time{}, fmt.Errorf("terms: %w", err)
	}
	t, woken := st.Terms, g.Due
	untold := r.present(ctx, g, st, sum)
	if untold != nil && !errors.Is(untold, errUntold) {
		return time.Time{}, untold
	}
	rel := releasing{Reset: r, gate: *g, terms: t, restrictions: st.Restrictions, sum: sum}
	if sum.Rolled > 0 && sum.Exported == 0 && untold == nil {
		rel.events = append(rel.events, periodBegan(*g)) // the period before is still open: it has not been told yet
	}
	err = rel.run(ctx, work)
	if err = errors.Join(untold, err, r.tell(ctx, st.Listens, rel.events)); err != nil {
		return time.Time{}, err
	}
	now := r.Now()
	changed := sum.Rolled+sum.Exported+sum.Settled+sum.Released+sum.Expired > 0
	switch at, ok := usage.DueTime(woken); {
	case rel.left || changed || len(g.Entries) > 0:
		return now.Add(max(again, rel.span)), nil
	case ok && !now.Before(at) && now.Sub(at) < staleness:
		// Somebody may still be holding a message for a reason that has just gone.
		return at.Add(staleness), nil
	}
	next := g.Ends
	for _, at := range []time.Time{rel.nextExpiry, t.Changes} { // a restriction that ends makes room
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next, nil
}

// postpone never passes over a time that is still to come.
func (r *Reset) postpone(ctx context.Context, g usage.Gate, to time.Time) error {
	if at, ok := usage.DueTime(g.Due); ok && at.After(r.Now()) && !to.Before(at) {
		return nil
	}
	if err := r.Usage.Postpone(ctx, g, to); err != nil {
		return fmt.Errorf("postpone: %w", err)
	}
	return nil
}

// present brings the gate into the present: entries resolved, the period that is over closed and exported, the terms
// those that are in force. With errUntold it stopped before the export.
func (r *Reset) present(ctx context.Context, g *usage.Gate, st account.Standing, sum *ShardSummary) error {
	for range rounds {
		settled, err := r.resolve(ctx, *g)
		if err != nil {
			return err
		}
		if settled > 0 {
			sum.Settled += settled
			if *g, err = r.Usage.Read(ctx, g.AccountID, true); err != nil {
				return fmt.Errorf("read settled gate: %w", err)
			}
		}
		next, done, err := r.step(ctx, *g, st, sum)
		refused := new(usage.Refused)
		switch {
		case errors.As(err, &refused):
			*g = refused.Gate
		case err != nil:
			return err
		case done:
			return nil
		default:
			*g = next
		}
	}
	return fmt.Errorf("reset: the gate of %s changed %d times meanwhile", g.AccountID, rounds)
}

// step makes the next one change of a gate that is not in the present, or says that there is none to make. That a period began is
// told before the one before leaves the gate: what can't be told is found, and told, by the next look.
func (r *Reset) step(ctx context.Context, g usage.Gate, st account.Standing, sum *ShardSummary) (next usage.Gate, done bool, err error) {
	t := st.Terms
	over := !r.Now().Before(g.Ends) || len(t.Kind.Period(r.Now())) != len(g.Period)
	switch {
	case g.Previous != "" && len(g.OpenEntries()) == 0:
		if err = r.tell(ctx, st.Listens, []event.Event{periodBegan(g)}); err != nil {
			return g, false, fmt.Errorf("%w: %w", errUntold, err)
		}
		if next, err = r.Usage.Export(ctx, g); err == nil {
			sum.Exported++
		}
	case over && g.Previous != "":
		return g, true, nil // the period before is still open: the look after this one
	case over:
		if next, err = r.Usage.Roll(ctx, g, t); err == nil {
			sum.Rolled++
		}
	case g.Version != t.Version:
		next, err = r.Usage.AdoptTerms(ctx, g, t)
	default:
		return g, true, nil
	}
	return next, false, err
}

// resolve settles what can be settled of the entries that ran out, and of the closed period's. An entry that ran out
// and whose message still waits is the dispatcher's to take over.
func (r *Reset) resolve(ctx context.Context, g usage.Gate) (int, error) {
	now := r.Now()
	suspects := map[id.Message]usage.Entry{}
	for _, e := range g.Entries {
		if !now.Before(e.Expires) {
			suspects[e.Message] = e
		}
	}
	for _, e := range g.OpenEntries() {
		suspects[e.Message] = e
	}
	found, err := r.Messages.Standings(ctx, g.AccountID, slices.Collect(maps.Keys(suspects)))
	if err != nil {
		return 0, fmt.Errorf("messages of the ledger: %w", err)
	}
	var list []usage.Settlement
	for mid, e := range suspects {
		m, ok := found[mid]
		standing := usage.Standing{Final: ok && m.Final(), Claim: m.Claim}
		if !ok {
			// Intake queued the reference and never recorded the message.
			standing.Final = !now.Before(e.Expires) && now.Sub(mid.Time()) > message.LostAfter
		}
		if s, final := standing.Settlement(e); final {
			list = append(list, s)
		}
	}
	if err := r.Usage.Settle(ctx, g, list); err != nil {
		return 0, fmt.Errorf("settle what was left: %w", err)
	}
	return len(list), nil
}

func (r *Reset) nonce() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return 0, fmt.Errorf("read randomness: %w", err)
	}
	return binary.BigEndian.Uint32(b[:]), nil
}
