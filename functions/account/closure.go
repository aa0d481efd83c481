package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/id"
	"contactcenter/shared/recipient"
	"contactcenter/shared/restriction"
	"contactcenter/shared/usage"
)

// Closures closes accounts, and reopens those that are not purged yet.
type Closures interface {
	Closure(ctx context.Context, accountID string) (account.Closure, error)
	Close(ctx context.Context, c account.Closure, block restriction.Restriction, e audit.Event) error
	Reopen(ctx context.Context, c account.Closure, by string, e audit.Event) error
	Terms(ctx context.Context, accountID string, fresh bool) (usage.Terms, error)
}

// Purges makes the purge of a closed account known to the function that does it.
type Purges interface {
	Send(ctx context.Context, accountID, erasureID string) error
}

// Release lets what was held go as soon as an account is open again.
type Release interface {
	Account(ctx context.Context, accountID string) error
}

// CloseAccount answers POST /v1/account/closure. Doing it again while the account is closing gives the same answer.
func (h *Handler) CloseAccount(w http.ResponseWriter, r *http.Request) {
	c, err := h.close(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusAccepted, api.ClosureOf(c))
}

func (h *Handler) close(r *http.Request) (account.Closure, error) {
	ctx, p, now := r.Context(), api.PrincipalFrom(r.Context()), h.Now().UTC().Truncate(time.Millisecond)
	c, err := h.asked(r, p.AccountID, now)
	if err != nil {
		return c, err
	}
	if _, err := h.Accounts.Get(ctx, p.AccountID); err != nil {
		return c, accountProblem(r, err)
	}
	if c.RestrictionID, err = h.IDs.New(id.RestrictionPrefix); err != nil {
		return c, err
	}
	c.RequestedBy = p.UserID
	block := restriction.Restriction{
		ID: c.RestrictionID, AccountID: p.AccountID, Kind: restriction.Block, Reason: "The account is being closed, as its user ordered.", Clause: "14", From: now, CreatedBy: p.UserID, Closure: true,
	}
	e := api.AuditEvent(ctx)
	e.Action, e.Target, e.After = "account.closing", p.AccountID, map[string]any{"purge_at": c.PurgeAt.Format(time.RFC3339Nano), "restriction_id": c.RestrictionID}
	err = h.Closures.Close(ctx, c, block, e)
	if errors.Is(err, account.ErrClosureChanged) {
		c, err = h.Closures.Closure(ctx, p.AccountID) // it is being closed already
	}
	if err != nil {
		return c, api.TryAgain(r, err)
	}
	if err := h.bring(ctx, p.AccountID); err != nil {
		api.Note(ctx, err) // the account follows within seconds all the same
	}
	if err := h.Purges.Send(ctx, p.AccountID, recipient.WholeAccount); err != nil {
		return c, api.TryAgain(r, err) // the same request again queues it
	}
	return c, nil
}

// asked checks a request to close.
func (h *Handler) asked(r *http.Request, accountID string, now time.Time) (account.Closure, error) {
	c := account.Closure{AccountID: accountID, Status: account.Closing, RequestedAt: now, PurgeAt: now.Add(account.DefaultGrace)}
	var req api.CloseAccountRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return c, err
	}
	var errs api.FieldErrors
	if req.Confirm != accountID {
		errs.Add("confirm", api.FieldInvalid, "must be the id of the account: it is closed, and all its data purged")
	}
	if req.PurgeAt != nil {
		c.PurgeAt = req.PurgeAt.UTC().Truncate(time.Millisecond)
		if c.PurgeAt.Before(now) || c.PurgeAt.After(now.Add(account.MaxGrace)) {
			errs.Add("purge_at", api.FieldInvalid, "must lie between now and 10 days ahead")
		}
	}
	return c, errs.Err()
}

func (h *Handler) bring(ctx context.Context, accountID string) error {
	terms, err := h.Closures.Terms(ctx, accountID, true)
	if err != nil {
		return err
	}
	return h.Gates.Bring(ctx, accountID, terms)
}

// GetClosure answers GET /v1/account/closure.
func (h *Handler) GetClosure(w http.ResponseWriter, r *http.Request) {
	c, err := h.Closures.Closure(r.Context(), api.PrincipalFrom(r.Context()).AccountID)
	if err != nil {
		api.WriteError(w, r, closureProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.ClosureOf(c))
}

// ReopenAccount answers DELETE /v1/account/closure. What was held goes again, in its order.
func (h *Handler) ReopenAccount(w http.ResponseWriter, r *http.Request) {
	if err := h.reopen(r); err != nil {
		api.WriteError(w, r, closureProblem(r, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) reopen(r *http.Request) error {
	ctx, p := r.Context(), api.PrincipalFrom(r.Context())
	c, err := h.Closures.Closure(ctx, p.AccountID)
	if err != nil {
		return err
	}
	e := api.AuditEvent(ctx)
	e.Action, e.Target, e.Before = "account.reopened", p.AccountID, map[string]any{"purge_at": c.PurgeAt.Format(time.RFC3339Nano), "restriction_id": c.RestrictionID}
	if c.Status != account.Reopened { // else an earlier call was cut off before it reached the gate
		if err := h.Closures.Reopen(ctx, c, p.UserID, e); err != nil {
			return err
		}
	}
	if err := h.bring(ctx, p.AccountID); err != nil {
		api.Note(ctx, err)
	}
	if err := h.Release.Account(ctx, p.AccountID); err != nil {
		api.Note(ctx, err) // the scheduled reset does the same later
	}
	return nil
}

func closureProblem(r *http.Request, err error) error {
	switch {
	case errors.Is(err, account.ErrNoClosure):
		return api.NewProblem(api.CodeNotFound).WithDetail("The account is not being closed.")
	case errors.Is(err, account.ErrClosureChanged):
		return api.NewProblem(api.CodeConflict).WithDetail("The purge has begun: the account can't be reopened any more.")
	}
	return api.TryAgain(r, err)
}
