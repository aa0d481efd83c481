package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/claim"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
)

// Evidence keeps requests for evidence.
type Evidence interface {
	Open(ctx context.Context, r claim.Evidence, e audit.Event) (claim.Evidence, error)
	Get(ctx context.Context, id string) (claim.Evidence, error)
	List(ctx context.Context, w claim.Which, p attr.Page) ([]claim.Evidence, string, error)
	Submissions(ctx context.Context, id string) ([]claim.Submission, error)
	Decide(ctx context.Context, r claim.Evidence, status claim.EvidenceStatus, note string, e audit.Event) (claim.Evidence, error)
}

const (
	maxRecipients = 100
	// maxDue is how far ahead an answer may be due.
	maxDue = 366 * 24 * time.Hour
)

// CreateEvidenceRequest answers POST /v1/operator/evidence-requests.
func (h *Handler) CreateEvidenceRequest(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		e, err := h.requestEvidence(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		w.Header().Set("Location", "/v1/operator/evidence-requests/"+e.ID)
		api.WriteJSON(w, http.StatusCreated, api.EvidenceRequestOf(e, nil, h.Now()))
	})(w, r)
}

func (h *Handler) requestEvidence(r *http.Request) (claim.Evidence, error) {
	var req api.CreateEvidenceRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return claim.Evidence{}, err
	}
	e, err := h.evidenceFrom(r, req)
	if err != nil {
		return claim.Evidence{}, err
	}
	if e.ID, err = h.IDs.New(id.EvidencePrefix); err != nil {
		return claim.Evidence{}, err
	}
	e, err = h.Evidence.Open(r.Context(), e, api.AuditEvent(r.Context()))
	if err != nil {
		return claim.Evidence{}, api.TryAgain(r, err)
	}
	if err := h.happened(r.Context(), event.EvidenceRequested, e.AccountID, e.ID, e.CreatedAt); err != nil {
		api.Note(r.Context(), err) // it is asked for, and GET /v1/evidence-requests shows it
	}
	return e, nil
}

func (h *Handler) evidenceFrom(r *http.Request, req api.CreateEvidenceRequest) (claim.Evidence, error) {
	now := h.Now()
	e := claim.Evidence{AccountID: req.AccountID, Reason: req.Reason, DueAt: req.DueAt.UTC().Truncate(time.Millisecond), RecipientIDs: req.RecipientIds, ComplaintID: req.ComplaintID}
	var f form
	f.within("reason", req.Reason, maxReason)
	f.check(e.DueAt.After(now) && e.DueAt.Before(now.Add(maxDue)), "due_at", "must lie in the future, at most a year ahead")
	f.list("recipient_ids", 0, req.RecipientIds)
	f.check(len(req.RecipientIds) <= maxRecipients, "recipient_ids", fmt.Sprintf("must have at most %d items", maxRecipients))
	for i, recipient := range req.RecipientIds {
		f.check(id.Valid(id.RecipientPrefix, recipient), fmt.Sprintf("recipient_ids[%d]", i), "is no id of a recipient")
	}
	if p := req.Period; p != nil {
		e.From, e.To = p.From.UTC().Truncate(time.Millisecond), p.To.UTC().Truncate(time.Millisecond)
		f.check(e.From.Before(e.To), "period", "must begin before it ends")
	}
	if err := h.known(r.Context(), &f, req.AccountID); err != nil {
		return e, api.TryAgain(r, err)
	}
	if err := h.isComplaint(r.Context(), &f, req.ComplaintID); err != nil {
		return e, api.TryAgain(r, err)
	}
	return e, f.errs.Err()
}

// isComplaint notes an id that is none of a complaint; "" is left out.
func (h *Handler) isComplaint(ctx context.Context, f *form, complaintID string) error {
	if complaintID == "" {
		return nil
	}
	known := false
	if id.Valid(id.ComplaintPrefix, complaintID) {
		var err error
		if known, err = h.Complaints.Exists(ctx, complaintID); err != nil {
			return err
		}
	}
	f.check(known, "complaint_id", "is no complaint")
	return nil
}

// ListOperatorEvidenceRequests answers GET /v1/operator/evidence-requests, newest first.
func (h *Handler) ListOperatorEvidenceRequests(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "status", "account_id", "overdue")
	page := q.Page()
	which := claim.Which{AccountID: q.Get("account_id"), Status: claim.EvidenceStatus(q.Get("status")), Overdue: q.Get("overdue") == "true"}
	if which.Status != "" && !slices.Contains(claim.EvidenceStatuses(), which.Status) {
		q.Invalid("status", "must be open, submitted, accepted or rejected")
	}
	if s := q.Get("overdue"); s != "" && s != "true" {
		q.Invalid("overdue", "must be true, or left out")
	}
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Evidence.List(r.Context(), which, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	show := func(e claim.Evidence) api.EvidenceRequest { return api.EvidenceRequestOf(e, nil, h.Now()) }
	api.WriteJSON(w, http.StatusOK, api.EvidenceRequestList{Items: api.ItemsOf(list, show), NextPageToken: next})
}

// GetOperatorEvidenceRequest answers GET /v1/operator/evidence-requests/{id}.
func (h *Handler) GetOperatorEvidenceRequest(w http.ResponseWriter, r *http.Request) {
	e, err := h.evidence(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerEvidence(w, r, e)
}

func (h *Handler) evidence(r *http.Request) (claim.Evidence, error) {
	notFound := api.NewProblem(api.CodeNotFound).WithDetail("There is no such evidence request.")
	if !id.Valid(id.EvidencePrefix, r.PathValue("id")) {
		return claim.Evidence{}, notFound
	}
	e, err := h.Evidence.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, claim.ErrNotFound):
		return claim.Evidence{}, notFound
	case err != nil:
		return claim.Evidence{}, api.TryAgain(r, err)
	}
	return e, nil
}

func (h *Handler) answerEvidence(w http.ResponseWriter, r *http.Request, e claim.Evidence) {
	subs, err := h.Evidence.Submissions(r.Context(), e.ID)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.EvidenceRequestOf(e, subs, h.Now()))
}

// DecideEvidenceRequest answers PATCH /v1/operator/evidence-requests/{id}. A refused answer may be followed by another. No
// restriction follows by itself.
func (h *Handler) DecideEvidenceRequest(w http.ResponseWriter, r *http.Request) {
	e, err := h.evidence(r)
	if err == nil {
		e, err = h.decide(r, e)
	}
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	h.answerEvidence(w, r, e)
}

func (h *Handler) decide(r *http.Request, e claim.Evidence) (claim.Evidence, error) {
	var req api.DecideEvidenceRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return e, err
	}
	var f form
	f.within("note", req.Note, maxNote)
	if err := f.errs.Err(); err != nil {
		return e, err
	}
	e, err := h.Evidence.Decide(r.Context(), e, claim.EvidenceStatus(req.Status), req.Note, api.AuditEvent(r.Context()))
	switch {
	case errors.Is(err, claim.ErrStatus), errors.Is(err, claim.ErrChanged):
		return e, api.NewProblem(api.CodeConflict).WithDetail("There is no answer to decide on at present.")
	case err != nil:
		return e, api.TryAgain(r, err)
	}
	return e, nil
}
