package main

import (
	"context"
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/claim"
	"contactcenter/shared/id"
	"contactcenter/shared/restriction"
)

// Appeals takes the account's appeals in, and tells how they stand. What was written can't be read here.
type Appeals interface {
	Open(ctx context.Context, a claim.Appeal, text string, e audit.Event) (claim.Appeal, error)
	List(ctx context.Context, w claim.WhichAppeals, p attr.Page) ([]claim.Appeal, string, error)
}

// AppealRestriction answers POST /v1/account/restrictions/{id}/appeals. A blocked account may, as it may read.
func (h *Handler) AppealRestriction(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		a, err := h.appeal(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		api.WriteJSON(w, http.StatusCreated, api.AppealOf(a))
	})(w, r)
}

func (h *Handler) appeal(r *http.Request) (claim.Appeal, error) {
	ctx, p := r.Context(), api.PrincipalFrom(r.Context())
	against, err := h.ownRestriction(r)
	if err != nil {
		return claim.Appeal{}, err
	}
	var req api.AppealRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return claim.Appeal{}, err
	}
	var errs api.FieldErrors
	checkText(&errs, "text", req.Text, maxDescription)
	if err := errs.Err(); err != nil {
		return claim.Appeal{}, err
	}
	if against.StatusAt(h.Now()) != restriction.Active {
		return claim.Appeal{}, api.NewProblem(api.CodeConflict).WithDetail("The restriction is not in force any more.")
	}
	a := claim.Appeal{AccountID: p.AccountID, RestrictionID: against.ID, CreatedBy: p.UserID}
	if a.ID, err = h.IDs.New(id.AppealPrefix); err != nil {
		return claim.Appeal{}, err
	}
	a, err = h.Appeals.Open(ctx, a, req.Text, api.AuditEvent(ctx))
	switch {
	case errors.Is(err, claim.ErrStatus):
		err = api.NewProblem(api.CodeConflict).WithDetail("An appeal against this restriction is open already. Wait for the decision on it.")
	case err != nil:
		err = api.TryAgain(r, err)
	}
	return a, err
}

// ListAppeals answers GET /v1/account/restrictions/{id}/appeals, newest first.
func (h *Handler) ListAppeals(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	against, err := h.ownRestriction(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Appeals.List(r.Context(), claim.WhichAppeals{AccountID: against.AccountID, RestrictionID: against.ID}, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AppealList{Items: api.ItemsOf(list, api.AppealOf), NextPageToken: next})
}

// ownRestriction gives the restriction of the path, in force or not, if it is one of the caller's account.
func (h *Handler) ownRestriction(r *http.Request) (restriction.Restriction, error) {
	notFound := api.NewProblem(api.CodeNotFound).WithDetail("Your account has no such restriction.")
	restrictionID := r.PathValue("id")
	if !id.Valid(id.RestrictionPrefix, restrictionID) {
		return restriction.Restriction{}, notFound
	}
	found, err := h.Accounts.Restriction(r.Context(), restrictionID)
	switch {
	case errors.Is(err, restriction.ErrNotFound), err == nil && found.AccountID != api.PrincipalFrom(r.Context()).AccountID:
		return restriction.Restriction{}, notFound
	case err != nil:
		return restriction.Restriction{}, api.TryAgain(r, err)
	}
	return found, nil
}
