package main

import (
	"context"
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/usage"
)

// CancelMessage cancels a message that is still waiting. A caller that goes away does not stop it half way.
func (h *Handler) CancelMessage(w http.ResponseWriter, r *http.Request) {
	if err := api.NoBody(r); err != nil {
		api.WriteError(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), stepsTimeout)
	defer cancel()
	m, err := h.find(ctx, r)
	if err == nil {
		m, err = h.cancel(ctx, r, m)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, messageView(m, inLine))
}

func notCancelable() error { return api.NewProblem(api.CodeMessageNotCancelable) }

// cancel ends a message under a claim that counts nothing: claim, then read, then write, then settle.
func (h *Handler) cancel(ctx context.Context, r *http.Request, m message.Message) (message.Message, error) {
	if !m.Status().Waiting() {
		return m, notCancelable()
	}
	gate, entry, err := h.claim(ctx, r, m.AccountID, m.ID)
	if err != nil {
		return m, err
	}
	done, err := h.end(ctx, m.AccountID, m.ID, entry)
	if err != nil {
		// The write may still arrive. The entry stays, so that whoever comes next takes it over after its lease, and
		// fences this write off before anything else.
		return m, api.TryAgain(r, err)
	}
	h.settle(ctx, gate, entry)
	if !done.Applied {
		return done.Message, notCancelable()
	}
	m = done.Message
	if err := h.Messages.Open(ctx, &m); err != nil {
		return m, api.TryAgain(r, err)
	}
	return m, nil
}

// claimed is a ledger entry of ours.
type claimed struct {
	usage.Entry
	// takenOver: an earlier holder may still be running.
	takenOver bool
}

const claimTries = 3

// claim takes the message without a unit. A message that a dispatcher has in hand can't be canceled, nor one that a
// dispatcher had in hand when it stopped: the provider may have it. One that was only being set aside can.
func (h *Handler) claim(ctx context.Context, r *http.Request, accountID string, mid id.Message) (usage.Gate, claimed, error) {
	for range claimTries {
		gate, err := h.Gates.Take(ctx, accountID, []id.Message{mid}, h.Random())
		refused := new(usage.Refused)
		switch {
		case errors.Is(err, usage.ErrNoGate):
			if err := h.makeGate(ctx, accountID); err != nil {
				return gate, claimed{}, api.TryAgain(r, err)
			}
			continue
		case errors.As(err, &refused):
			gate = refused.Gate
		case err != nil:
			return gate, claimed{}, api.TryAgain(r, err)
		default:
			return gate, claimed{Entry: gate.Entries[mid.Unique]}, nil
		}
		e, ok := gate.Entries[mid.Unique]
		if !ok {
			continue
		}
		if e.Counts() || h.Now().Before(e.Expires) {
			return gate, claimed{}, notCancelable()
		}
		gate, err = h.Gates.TakeOver(ctx, accountID, usage.Terms{}, e, gate, h.Random(), false)
		switch {
		case errors.As(err, &refused):
			continue
		case err != nil:
			return gate, claimed{}, api.TryAgain(r, err)
		}
		return gate, claimed{Entry: gate.Entries[mid.Unique], takenOver: true}, nil
	}
	return usage.Gate{}, claimed{}, notCancelable()
}

func (h *Handler) makeGate(ctx context.Context, accountID string) error {
	st, err := h.Accounts.Standing(ctx, accountID, true)
	if err != nil {
		return err
	}
	return h.Gates.Create(ctx, accountID, st.Terms)
}

// end reads the message under the claim, and cancels it if it is still waiting.
func (h *Handler) end(ctx context.Context, accountID string, mid id.Message, c claimed) (message.Written, error) {
	if c.takenOver {
		if w, err := h.Messages.Fence(ctx, accountID, mid, c.Lease); err != nil || !w.Applied {
			return w, err
		}
	}
	m, err := h.Messages.Get(ctx, accountID, mid)
	if err != nil || !m.Status().Waiting() {
		return message.Written{Message: m}, err
	}
	return h.Messages.End(ctx, accountID, mid, c.Lease, message.Ending{Status: message.Canceled, At: h.Now()})
}

// settle takes the entry out of the ledger. When that fails, whoever sees it after its lease does it.
func (h *Handler) settle(ctx context.Context, gate usage.Gate, c claimed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	if err := h.Gates.Settle(ctx, gate, []usage.Settlement{{Entry: c.Entry}}); err != nil {
		api.Note(ctx, err)
	}
}
