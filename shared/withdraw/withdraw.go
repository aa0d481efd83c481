// Package withdraw takes messages back that still wait for their turn: a user cancels one, or all those to a person are
// erased. It ends a message under a claim that counts nothing: claim, then read, then write, then settle.
package withdraw

import (
	"context"
	"errors"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

// ErrNotWaiting: the message is final, or a dispatcher has it in hand, or had it when it stopped: the provider may have it.
var ErrNotWaiting = errors.New("message does not wait any more")

const (
	claimTries = 3
	// settleTimeout bounds what must be finished although the caller has gone.
	settleTimeout = 3 * time.Second
)

// Accounts gives the limits that hold for an account.
type Accounts interface {
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
}

// Withdrawer takes messages back.
type Withdrawer struct {
	Messages *message.Store
	Gates    *usage.Store
	Accounts Accounts
	Now      func() time.Time
	Random   func() uint32
	// Note is told of a failure that changes nothing for the caller.
	Note func(ctx context.Context, err error)
}

// Withdraw ends a message as canceled and gives it as it is then, without long content. It returns ErrNotWaiting. After another
// error the write may still arrive: the ledger's entry stays, so that whoever comes next takes it over after its lease, and
// fences this write off before anything else.
func (w Withdrawer) Withdraw(ctx context.Context, accountID string, mid id.Message) (message.Message, error) {
	gate, entry, err := w.claim(ctx, accountID, mid)
	if err != nil {
		return message.Message{}, err
	}
	done, err := w.end(ctx, accountID, mid, entry)
	if err != nil {
		return message.Message{}, err
	}
	w.settle(ctx, gate, entry)
	if !done.Applied {
		return done.Message, ErrNotWaiting
	}
	return done.Message, nil
}

// claimed is a ledger entry of ours.
type claimed struct {
	usage.Entry
	// takenOver: an earlier holder may still be running.
	takenOver bool
}

// claim takes the message without a unit. A message that a dispatcher has in hand can't be taken, nor one that a
// dispatcher had in hand when it stopped. One that was only being set aside can.
func (w Withdrawer) claim(ctx context.Context, accountID string, mid id.Message) (usage.Gate, claimed, error) {
	for range claimTries {
		gate, err := w.Gates.Take(ctx, accountID, []id.Message{mid}, w.Random())
		refused := new(usage.Refused)
		switch {
		case errors.Is(err, usage.ErrNoGate):
			if err := w.makeGate(ctx, accountID); err != nil {
				return gate, claimed{}, err
			}
			continue
		case errors.As(err, &refused):
			gate = refused.Gate
		case err != nil:
			return gate, claimed{}, err
		default:
			return gate, claimed{Entry: gate.Entries[mid.Unique]}, nil
		}
		e, ok := gate.Entries[mid.Unique]
		if !ok {
			continue
		}
		if e.Counts() || w.Now().Before(e.Expires) {
			return gate, claimed{}, ErrNotWaiting
		}
		gate, err = w.Gates.TakeOver(ctx, accountID, usage.Terms{}, e, gate, w.Random(), false)
		switch {
		case errors.As(err, &refused):
			continue
		case err != nil:
			return gate, claimed{}, err
		}
		return gate, claimed{Entry: gate.Entries[mid.Unique], takenOver: true}, nil
	}
	return usage.Gate{}, claimed{}, ErrNotWaiting
}

// makeGate makes the account's gate: a message may be taken back before any was dispatched.
func (w Withdrawer) makeGate(ctx context.Context, accountID string) error {
	st, err := w.Accounts.Standing(ctx, accountID, true)
	if err != nil {
		return err
	}
	return w.Gates.Create(ctx, accountID, st.Terms)
}

// end reads the message under the claim, and cancels it if it is still waiting.
func (w Withdrawer) end(ctx context.Context, accountID string, mid id.Message, c claimed) (message.Written, error) {
	if c.takenOver {
		if done, err := w.Messages.Fence(ctx, accountID, mid, c.Lease); err != nil || !done.Applied {
			return done, err
		}
	}
	found, err := w.Messages.Standings(ctx, accountID, []id.Message{mid})
	if m, ok := found[mid]; err != nil || !ok || !m.Status().Waiting() {
		return message.Written{Message: m}, err
	}
	return w.Messages.End(ctx, accountID, mid, c.Lease, message.Ending{Status: message.Canceled, At: w.Now()})
}

// settle takes the entry out of the ledger. When that fails, whoever sees it after its lease does it.
func (w Withdrawer) settle(ctx context.Context, gate usage.Gate, c claimed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := w.Gates.Settle(ctx, gate, []usage.Settlement{{Entry: c.Entry}}); err != nil {
		w.Note(ctx, err)
	}
}
