package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/claim"
	"contactcenter/shared/id"
)

// Evidence keeps the operator's requests for evidence, and the account's answers.
type Evidence interface {
	Get(ctx context.Context, id string) (claim.Evidence, error)
	List(ctx context.Context, w claim.Which, p attr.Page) ([]claim.Evidence, string, error)
	Overdue(ctx context.Context, accountID string) (int, error)
	Submissions(ctx context.Context, id string) ([]claim.Submission, error)
	Submit(ctx context.Context, r claim.Evidence, sub claim.Submission, e audit.Event) (claim.Evidence, error)
}

const (
	maxDocuments = 20
	maxBundles   = 100
	maxTitle     = 256
	maxURL       = 2048
)

// ListEvidenceRequests answers GET /v1/evidence-requests, newest first.
func (h *Handler) ListEvidenceRequests(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "status")
	page := q.Page()
	status := claim.EvidenceStatus(q.Get("status"))
	if status != "" && !slices.Contains(claim.EvidenceStatuses(), status) {
		q.Invalid("status", "must be open, submitted, accepted or rejected")
	}
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	which := claim.Which{AccountID: api.PrincipalFrom(r.Context()).AccountID, Status: status}
	list, next, err := h.Evidence.List(r.Context(), which, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	show := func(e claim.Evidence) api.EvidenceRequest { return api.EvidenceRequestOf(e, nil, h.Now()) }
	api.WriteJSON(w, http.StatusOK, api.EvidenceRequestList{Items: api.ItemsOf(list, show), NextPageToken: next})
}

// GetEvidenceRequest answers GET /v1/evidence-requests/{id}.
func (h *Handler) GetEvidenceRequest(w http.ResponseWriter, r *http.Request) {
	e, err := h.ownEvidence(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	subs, err := h.Evidence.Submissions(r.Context(), e.ID)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.EvidenceRequestOf(e, subs, h.Now()))
}

// SubmitEvidence answers POST /v1/evidence-requests/{id}/submissions.
func (h *Handler) SubmitEvidence(w http.ResponseWriter, r *http.Request) {
	h.Keys.Wrap(func(w http.ResponseWriter, r *http.Request) {
		e, sub, err := h.submit(r)
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		api.WriteJSON(w, http.StatusCreated, api.EvidenceRequestOf(e, []claim.Submission{sub}, h.Now()))
	})(w, r)
}

func (h *Handler) submit(r *http.Request) (claim.Evidence, claim.Submission, error) {
	ctx := r.Context()
	e, err := h.ownEvidence(r)
	if err != nil {
		return e, claim.Submission{}, err
	}
	var req api.SubmitEvidenceRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return e, claim.Submission{}, err
	}
	sub, err := submissionOf(req)
	if err != nil {
		return e, sub, err
	}
	sub.By, sub.At = api.PrincipalFrom(ctx).UserID, h.Now()
	e, err = h.Evidence.Submit(ctx, e, sub, api.AuditEvent(ctx))
	switch {
	case errors.Is(err, claim.ErrStatus), errors.Is(err, claim.ErrChanged):
		err = api.NewProblem(api.CodeConflict).WithDetail("No answer is waited for at present: the request was answered, and is being looked at or accepted.")
	case err != nil:
		err = api.TryAgain(r, err)
	}
	return e, sub, err
}

func submissionOf(req api.SubmitEvidenceRequest) (claim.Submission, error) {
	var errs api.FieldErrors
	sub := claim.Submission{Statement: req.Statement}
	checkText(&errs, "statement", req.Statement, maxDescription)
	if len(req.Documents) > maxDocuments {
		errs.Add("documents", api.FieldInvalid, fmt.Sprintf("must have at most %d items", maxDocuments))
		return sub, errs.Err()
	}
	for i, d := range req.Documents {
		at := fmt.Sprintf("documents[%d]", i)
		checkText(&errs, at+".title", d.Title, maxTitle)
		if u, err := url.Parse(d.URL); err != nil || len(d.URL) > maxURL || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			errs.Add(at+".url", api.FieldInvalid, "must be a web address")
		}
		if d.Sha256 != "" && !isHash(d.Sha256) {
			errs.Add(at+".sha256", api.FieldInvalid, notHash)
		}
		sub.Documents = append(sub.Documents, claim.Document{Title: d.Title, URL: d.URL, SHA256: d.Sha256})
	}
	sub.Bundles = bundlesOf(req.Bundles, &errs)
	return sub, errs.Err()
}

func bundlesOf(given []api.EvidenceBundleReference, errs *api.FieldErrors) []claim.Bundle {
	if len(given) > maxBundles {
		errs.Add("bundles", api.FieldInvalid, fmt.Sprintf("must have at most %d items", maxBundles))
		return nil
	}
	var list []claim.Bundle
	for i, b := range given {
		at := fmt.Sprintf("bundles[%d]", i)
		if !id.Valid(id.BundlePrefix, b.ID) {
			errs.Add(at+".id", api.FieldInvalid, "must be the id of a bundle of evidence")
		}
		if !isHash(b.Sha256) {
			errs.Add(at+".sha256", api.FieldInvalid, notHash)
		}
		list = append(list, claim.Bundle{ID: b.ID, SHA256: b.Sha256})
	}
	return list
}

const notHash = "must be a SHA-256 in 64 lower-case hexadecimal digits"

func isHash(s string) bool { return regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(s) }

// ownEvidence gives the evidence request of the path, if it was asked of the caller's account.
func (h *Handler) ownEvidence(r *http.Request) (claim.Evidence, error) {
	notFound := api.NewProblem(api.CodeNotFound).WithDetail("Your account has no such evidence request.")
	requestID := r.PathValue("id")
	if !id.Valid(id.EvidencePrefix, requestID) {
		return claim.Evidence{}, notFound
	}
	e, err := h.Evidence.Get(r.Context(), requestID)
	switch {
	case errors.Is(err, claim.ErrNotFound), err == nil && e.AccountID != api.PrincipalFrom(r.Context()).AccountID:
		return claim.Evidence{}, notFound
	case err != nil:
		return claim.Evidence{}, api.TryAgain(r, err)
	}
	return e, nil
}
