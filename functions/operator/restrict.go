package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
)

// CreateRestriction answers POST /v1/operator/accounts/{id}/restrictions.
func (h *Handler) CreateRestriction(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		made, err := h.restrict(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		w.Header().Set("Location", "/v1/operator/restrictions/"+made.ID)
		api.WriteJSON(w, http.StatusCreated, api.OperatorRestrictionOf(made, h.Now()))
	})(w, r)
}

func (h *Handler) restrict(r *http.Request) (restriction.Restriction, error) {
	ctx, accountID := r.Context(), r.PathValue("id")
	var req api.CreateRestrictionRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return restriction.Restriction{}, err
	}
	if _, err := h.Accounts.Find(ctx, accountID); err != nil {
		return restriction.Restriction{}, accountProblem(r, err)
	}
	made, err := h.restrictionFrom(r, req)
	if err != nil {
		return restriction.Restriction{}, err
	}
	if made.ID, err = h.IDs.New(id.RestrictionPrefix); err != nil {
		return restriction.Restriction{}, err
	}
	e := api.AuditEvent(ctx)
	e.AccountID, e.Action, e.Target, e.Reason, e.ComplaintID, e.After = accountID, "restriction.created", made.ID, made.Reason, made.ComplaintID, audited(made)
	err = h.Accounts.Restrict(ctx, made, e)
	if errors.Is(err, restriction.ErrTooMany) {
		return restriction.Restriction{}, api.NewProblem(api.CodeConflict).WithDetail("As many restrictions are in force as an account can have at once. Lift one that another covers.")
	}
	if err != nil {
		return restriction.Restriction{}, accountProblem(r, err)
	}
	if err := h.reach(ctx, accountID); err != nil {
		api.Note(ctx, err) // the account follows within seconds all the same
	}
	if err := h.happened(ctx, event.AccountRestricted, accountID, made.ID, made.From); err != nil {
		api.Note(ctx, err) // it is in force, and GET /v1/usage shows it
	}
	return made, nil
}

// accountProblem says why an account can't be worked on.
func accountProblem(r *http.Request, err error) error {
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrID) {
		return api.NewProblem(api.CodeNotFound).WithDetail("There is no such account.")
	}
	return api.TryAgain(r, err)
}

// restrictionFrom checks a request, and gives the restriction that it asks for.
func (h *Handler) restrictionFrom(r *http.Request, req api.CreateRestrictionRequest) (restriction.Restriction, error) {
	now := h.Now().UTC().Truncate(time.Millisecond)
	made := restriction.Restriction{
		AccountID: r.PathValue("id"), Kind: restriction.Kind(req.Kind), Reason: req.Reason, Clause: req.Clause, From: now,
		Limit: req.Limit, CreatedBy: api.PrincipalFrom(r.Context()).UserID,
	}
	var f form
	f.check(strings.TrimSpace(req.Reason) != "" && utf8.RuneCountInString(req.Reason) <= restriction.MaxReason, "reason", "must be a text of at most 500 characters: the customer reads it")
	if req.Until != nil {
		made.Until = req.Until.UTC().Truncate(time.Millisecond)
		f.check(made.Until.After(now), "until", "must lie in the future")
	}
	if req.ComplaintID != nil {
		made.ComplaintID = *req.ComplaintID
		if err := h.isComplaint(r.Context(), &f, made.ComplaintID); err != nil {
			return made, api.TryAgain(r, err)
		}
	}
	f.limits(&made, req)
	if err := h.grounds(r, &f, req.Clause); err != nil {
		return made, err
	}
	if req.Scope != nil {
		made.Scope = restriction.Scope(*req.Scope)
		if err := h.scope(r, &f, made); err != nil {
			return made, err
		}
	}
	return made, f.errs.Err()
}

// limits checks what a limit limits, and that a block limits nothing.
func (f *form) limits(made *restriction.Restriction, req api.CreateRestrictionRequest) {
	if made.Kind == restriction.Block {
		f.check(req.Limit == nil, "limit", "must be left out with kind block")
		f.check(req.Rate == nil, "rate", "must be left out with kind block")
		return
	}
	f.check(req.Limit != nil || req.Rate != nil, "limit", "or rate is required with kind limit")
	within := func(field string, n, least, most int64) {
		f.check(n >= least && n <= most, field, "is too small or too large")
	}
	if req.Limit != nil {
		within("limit", *req.Limit, 0, account.MaxLimit)
	}
	if req.Rate == nil {
		return
	}
	made.Rate = &restriction.Rate{Limit: req.Rate.Limit, WindowSeconds: req.Rate.WindowSeconds, Burst: req.Rate.Limit}
	within("rate.limit", req.Rate.Limit, 1, account.MaxRate)
	within("rate.window_seconds", req.Rate.WindowSeconds, 1, account.MaxWindowSeconds)
	if req.Rate.Burst != nil {
		made.Rate.Burst = *req.Rate.Burst
		within("rate.burst", *req.Rate.Burst, 1, account.MaxRate)
	}
}

// grounds checks that a restriction rests on a clause of the Rules or on a prohibited use of those in force.
func (h *Handler) grounds(r *http.Request, f *form, clause string) error {
	current, err := h.Rules.Current(r.Context())
	if err != nil && !errors.Is(err, rules.ErrNoneInForce) {
		return api.TryAgain(r, err)
	}
	f.check(current.Grounds(clause), "clause", "must be a clause of the Rules, like 13 or 9.3, or the id of a prohibited use of the Rules in force")
	return nil
}

// scope checks that there is such a provider, and that channel and recipient are the account's.
func (h *Handler) scope(r *http.Request, f *form, made restriction.Restriction) error {
	if s := made.Scope.RecipientID; s != "" {
		f.check(id.Valid(id.RecipientPrefix, s), "scope.recipient_id", "is no recipient's id")
	}
	if s := made.Scope.ProviderID; s != "" {
		_, err := h.Providers.Read(r.Context(), s)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return api.TryAgain(r, err)
		}
		f.check(err == nil, "scope.provider_id", "is no provider")
	}
	if made.Scope.ChannelID == "" {
		return nil
	}
	ch, err := h.channel(r.Context(), made.Scope.ChannelID)
	if err != nil && !errors.Is(err, channel.ErrNotFound) {
		return api.TryAgain(r, err)
	}
	f.check(err == nil && ch.AccountID == made.AccountID, "scope.channel_id", "is none of the account's channels")
	return nil
}

func (h *Handler) channel(ctx context.Context, channelID string) (channel.Channel, error) {
	if !id.Valid(id.ChannelPrefix, channelID) {
		return channel.Channel{}, channel.ErrNotFound
	}
	return h.Channels.Lookup(ctx, channelID)
}

// audited is what the audit keeps of a restriction.
func audited(r restriction.Restriction) map[string]any {
	values := map[string]any{"kind": string(r.Kind), "clause": r.Clause, "from": r.From.Format(time.RFC3339Nano)}
	for name, text := range map[string]string{"provider_id": r.Scope.ProviderID, "channel_id": r.Scope.ChannelID, "recipient_id": r.Scope.RecipientID} {
		if text != "" {
			values[name] = text
		}
	}
	if !r.Until.IsZero() {
		values["until"] = r.Until.Format(time.RFC3339Nano)
	}
	if r.Limit != nil {
		values["limit"] = *r.Limit
	}
	if r.Rate != nil {
		values["rate"] = map[string]any{"limit": r.Rate.Limit, "window_seconds": r.Rate.WindowSeconds, "burst": r.Rate.Burst}
	}
	return values
}

// ListRestrictions answers GET /v1/operator/accounts/{id}/restrictions.
func (h *Handler) ListRestrictions(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	if _, err := h.Accounts.Find(r.Context(), r.PathValue("id")); err != nil {
		api.WriteError(w, r, accountProblem(r, err))
		return
	}
	list, next, err := h.Accounts.ListRestrictions(r.Context(), r.PathValue("id"), page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	show := func(x restriction.Restriction) api.OperatorRestriction { return api.OperatorRestrictionOf(x, h.Now()) }
	api.WriteJSON(w, http.StatusOK, api.OperatorRestrictionList{Items: api.ItemsOf(list, show), NextPageToken: next})
}

// GetRestriction answers GET /v1/operator/restrictions/{id}.
func (h *Handler) GetRestriction(w http.ResponseWriter, r *http.Request) {
	found, err := h.restriction(r)
	if err != nil {
		api.WriteError(w, r, restrictionProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.OperatorRestrictionOf(found, h.Now()))
}

func (h *Handler) restriction(r *http.Request) (restriction.Restriction, error) {
	if !id.Valid(id.RestrictionPrefix, r.PathValue("id")) {
		return restriction.Restriction{}, restriction.ErrNotFound
	}
	return h.Accounts.Restriction(r.Context(), r.PathValue("id"))
}

func restrictionProblem(r *http.Request, err error) error {
	if errors.Is(err, restriction.ErrNotFound) {
		return api.NewProblem(api.CodeNotFound).WithDetail("There is no such restriction.")
	}
	return api.TryAgain(r, err)
}

// LiftRestriction answers DELETE /v1/operator/restrictions/{id}. What was held goes again, in its order.
func (h *Handler) LiftRestriction(w http.ResponseWriter, r *http.Request) {
	found, err := h.restriction(r)
	if err == nil && found.Closure {
		api.WriteError(w, r, api.NewProblem(api.CodeConflict).WithDetail("The account ordered it, by closing: only its own users can take that back."))
		return
	}
	if err == nil {
		found, err = h.lift(r, found)
	}
	if err != nil {
		api.WriteError(w, r, restrictionProblem(r, err))
		return
	}
	// Also when it had ended before: the call that ended it may have been cut off here.
	if err := h.reach(r.Context(), found.AccountID); err != nil {
		api.Note(r.Context(), err)
	}
	if err := h.happened(r.Context(), event.AccountRestrictionLifted, found.AccountID, found.ID, found.LiftedAt); err != nil {
		api.Note(r.Context(), err)
	}
	if err := h.Release.Account(r.Context(), found.AccountID); err != nil {
		api.Note(r.Context(), err) // the scheduled reset does the same later
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) lift(r *http.Request, found restriction.Restriction) (restriction.Restriction, error) {
	e := api.AuditEvent(r.Context())
	e.Action, e.Target, e.ComplaintID, e.Before = "restriction.lifted", found.ID, found.ComplaintID, audited(found)
	lifted, _, err := h.Accounts.Lift(r.Context(), found.ID, api.PrincipalFrom(r.Context()).UserID, e)
	return lifted, err
}
