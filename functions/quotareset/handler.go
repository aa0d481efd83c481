package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"contactcenter/shared/usage"
)

const (
	// margin is kept free before the function's deadline, for what was begun and for the summary.
	margin = 5 * time.Second
	// accountsAtOnce bounds the accounts of one shard that are worked on side by side. Shards run side by side too.
	accountsAtOnce = 4
	duePage        = 200
)

// Event is what the schedule sends, or a person.
type Event struct {
	Source string `json:"source"`
	// Shards limits the sweep to some shards, for a sweep that is spread over several invocations. Empty: all.
	Shards []string `json:"shards"`
	// AccountID asks for one account, due or not.
	AccountID string `json:"account_id"`
}

// ShardSummary says what was done in one shard.
type ShardSummary struct {
	Shard    string `json:"shard"`
	Accounts int    `json:"accounts"`
	Rolled   int    `json:"rolled"`
	Exported int    `json:"exported"`
	Released int    `json:"released"`
	Settled  int    `json:"settled"`
	Expired  int    `json:"expired"`
	Failed   int    `json:"failed"`
	// RemainingDue are due accounts that the time did not suffice for.
	RemainingDue int `json:"remaining_due"`
}

func (s *ShardSummary) add(o ShardSummary) {
	s.Accounts += o.Accounts
	s.Rolled += o.Rolled
	s.Exported += o.Exported
	s.Released += o.Released
	s.Settled += o.Settled
	s.Expired += o.Expired
	s.Failed += o.Failed
	s.RemainingDue += o.RemainingDue
}

func (s ShardSummary) attrs() []slog.Attr {
	return []slog.Attr{
		slog.Int("accounts", s.Accounts), slog.Int("rolled", s.Rolled), slog.Int("exported", s.Exported), slog.Int("released", s.Released),
		slog.Int("settled", s.Settled), slog.Int("expired", s.Expired), slog.Int("failed", s.Failed), slog.Int("remaining_due", s.RemainingDue),
	}
}

// Summary is the function's answer: the sum of its shards.
type Summary struct {
	Shards int `json:"shards"`
	// Scheduled are the messages whose time comes, and that were set going.
	Scheduled int `json:"scheduled"`
	ShardSummary
}

// Handler sweeps the shards, and looks at those that others ask it to look at.
type Handler struct {
	Reset     Reset
	Scheduled Scheduled
	Jobs      Jobs
	// Health looks after the health of providers to which nothing is sent any more.
	Health interface {
		Run(ctx, work context.Context) error
	}
	Pulse *Pulse
	Log   *slog.Logger
}

// Handle does what is due. It may run at any time, late, twice or side by side: each step is a conditional write that
// the second comer finds done.
func (h *Handler) Handle(ctx context.Context, e Event) (Summary, error) {
	work, cancel := budget(ctx)
	defer cancel()
	if e.AccountID != "" {
		s, err := h.one(ctx, work, e.AccountID)
		return Summary{Shards: 1, ShardSummary: s}, err
	}
	shards, err := shardsOf(e)
	if err != nil {
		return Summary{}, err
	}
	var (
		mu    sync.Mutex
		sum   = Summary{Shards: len(shards), ShardSummary: ShardSummary{Shard: "all"}}
		errs  []error
		group errgroup.Group
	)
	whole := len(e.Shards) == 0
	if whole { // a sweep that is spread over several invocations leaves them to the whole one
		group.Go(func() error {
			n, err := h.Scheduled.Run(ctx, work)
			mu.Lock()
			defer mu.Unlock()
			sum.Scheduled = n
			errs = append(errs, err)
			return nil
		})
		group.Go(func() error {
			err := errors.Join(h.Health.Run(ctx, work), h.Pulse.look(ctx))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			return nil
		})
	}
	for _, shard := range shards {
		group.Go(func() error {
			s, err := h.shard(ctx, work, shard)
			h.Log.LogAttrs(ctx, slog.LevelInfo, "shard swept", append([]slog.Attr{slog.String("shard", shard)}, s.attrs()...)...)
			mu.Lock()
			defer mu.Unlock()
			sum.add(s)
			errs = append(errs, err)
			return nil
		})
	}
	_ = group.Wait() // errors are in errs, so that one shard does not hide another's
	h.Log.LogAttrs(ctx, slog.LevelInfo, "reset done", append([]slog.Attr{slog.Int("shards", sum.Shards), slog.Int("scheduled", sum.Scheduled)}, sum.attrs()...)...)
	if whole {
		errs = append(errs, h.Pulse.note(ctx, errors.Join(errs...)))
	}
	if sum.Failed > 0 && sum.Failed == sum.Accounts {
		errs = append(errs, fmt.Errorf("each of %d accounts failed", sum.Failed))
	}
	return sum, errors.Join(errs...)
}

// budget gives a context that ends when no new work is to be begun.
func budget(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-margin))
	}
	return context.WithCancel(ctx)
}

func shardsOf(e Event) ([]string, error) {
	all := usage.ShardNames()
	if len(e.Shards) == 0 {
		return all, nil
	}
	for _, s := range e.Shards {
		if !slices.Contains(all, s) {
			return nil, fmt.Errorf("there is no such shard: they are %s to %s", all[0], all[len(all)-1])
		}
	}
	return e.Shards, nil
}

// one resets a single account.
func (h *Handler) one(ctx, work context.Context, accountID string) (ShardSummary, error) {
	s := ShardSummary{Shard: usage.Shard(accountID)}
	done, err := h.Reset.Account(ctx, work, accountID, true)
	s.add(done)
	h.Log.LogAttrs(ctx, slog.LevelInfo, "account reset", append([]slog.Attr{slog.String("shard", s.Shard), slog.String("account_id", accountID)}, s.attrs()...)...)
	return s, err
}

// shard resets the due accounts of a shard, longest due first. When the time is up it only counts the rest.
func (h *Handler) shard(ctx, work context.Context, shard string) (ShardSummary, error) {
	var (
		mu    sync.Mutex
		sum   = ShardSummary{Shard: shard}
		group errgroup.Group
		after string
	)
	group.SetLimit(accountsAtOnce)
	for {
		accounts, next, err := h.Reset.Usage.Due(ctx, shard, duePage, after)
		if err != nil {
			_ = group.Wait() // its functions return no error
			return sum, fmt.Errorf("sweep shard %s: %w", shard, err)
		}
		for _, accountID := range accounts {
			if work.Err() != nil {
				mu.Lock()
				sum.RemainingDue++
				mu.Unlock()
				continue
			}
			group.Go(func() error {
				done, err := h.Reset.Account(ctx, work, accountID, false)
				mu.Lock()
				defer mu.Unlock()
				sum.add(done)
				if err != nil {
					h.Log.ErrorContext(ctx, "account failed", "account_id", accountID, "shard", shard, "error", err.Error())
				}
				return nil
			})
		}
		if after = next; after == "" {
			_ = group.Wait() // its functions return no error
			return sum, nil
		}
	}
}
