package main

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/claim"
	"contactcenter/shared/id"
)

// Appeals keeps what accounts say against restrictions.
type Appeals interface {
	Get(ctx context.Context, id string) (claim.Appeal, error)
	List(ctx context.Context, w claim.WhichAppeals, p attr.Page) ([]claim.Appeal, string, error)
	Text(a claim.Appeal) (string, error)
	Decide(ctx context.Context, a claim.Appeal, status claim.AppealStatus, reason string, e audit.Event) (claim.Appeal, error)
}

// ListOperatorAppeals answers GET /v1/operator/appeals, newest first, without what accounts wrote.
func (h *Handler) ListOperatorAppeals(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "status", "account_id")
	page := q.Page()
	which := claim.WhichAppeals{AccountID: q.Get("account_id"), Status: claim.AppealStatus(q.Get("status"))}
	if which.Status != "" && !slices.Contains(claim.AppealStatuses(), which.Status) {
		q.Invalid("status", "must be open, accepted or declined")
	}
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Appeals.List(r.Context(), which, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AppealList{Items: api.ItemsOf(list, api.AppealOf), NextPageToken: next})
}

// GetOperatorAppeal answers GET /v1/operator/appeals/{id}, with what the account wrote.
func (h *Handler) GetOperatorAppeal(w http.ResponseWriter, r *http.Request) {
	a, err := h.appeal(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerAppeal(w, r, a)
}

func (h *Handler) appeal(r *http.Request) (claim.Appeal, error) {
	notFound := api.NewProblem(api.CodeNotFound).WithDetail("There is no such appeal.")
	if !id.Valid(id.AppealPrefix, r.PathValue("id")) {
		return claim.Appeal{}, notFound
	}
	a, err := h.Appeals.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, claim.ErrNotFound):
		return claim.Appeal{}, notFound
	case err != nil:
		return claim.Appeal{}, api.TryAgain(r, err)
	}
	return a, nil
}

func (h *Handler) answerAppeal(w http.ResponseWriter, r *http.Request, a claim.Appeal) {
	text, err := h.Appeals.Text(a)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	out := api.AppealOf(a)
	out.Statement = text
	api.WriteJSON(w, http.StatusOK, out)
}

// DecideAppeal answers PATCH /v1/operator/appeals/{id}. The restriction stays as it is: lifting it is an act of its own.
func (h *Handler) DecideAppeal(w http.ResponseWriter, r *http.Request) {
	a, err := h.appeal(r)
	if err == nil {
		a, err = h.decideAppeal(r, a)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerAppeal(w, r, a)
}

func (h *Handler) decideAppeal(r *http.Request, a claim.Appeal) (claim.Appeal, error) {
	var req api.DecideAppealRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return a, err
	}
	var f form
	f.within("reason", req.Reason, maxReason)
	if err := f.errs.Err(); err != nil {
		return a, err
	}
	a, err := h.Appeals.Decide(r.Context(), a, claim.AppealStatus(req.Status), req.Reason, api.AuditEvent(r.Context()))
	switch {
	case errors.Is(err, claim.ErrStatus):
		return a, api.NewProblem(api.CodeConflict).WithDetail("An open appeal is accepted or declined; one that was decided can be opened again.")
	case errors.Is(err, claim.ErrChanged):
		return a, api.NewProblem(api.CodeConflict).WithDetail("The appeal was changed meanwhile, or the account has another open one against the same restriction.")
	case err != nil:
		return a, api.TryAgain(r, err)
	}
	return a, nil
}
