package main

import (
	"net/http"

	"contactcenter/shared/api"
)

// ListOwnAuditEvents answers GET /v1/audit-events: what was done in the account and to it, newest first.
func (h *Handler) ListOwnAuditEvents(w http.ResponseWriter, r *http.Request) {
	page, err := api.ReadPage(r)
	if err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Audit.Of(r.Context(), api.PrincipalFrom(r.Context()).AccountID, page)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	out := api.AuditRecordList{Items: []api.AuditRecord{}, NextPageToken: next}
	for _, e := range list {
		if record, shown := api.OwnAuditRecordOf(e); shown {
			out.Items = append(out.Items, record)
		}
	}
	api.WriteJSON(w, http.StatusOK, out)
}

// VerifyOwnAuditEvents answers GET /v1/audit-events/verification.
func (h *Handler) VerifyOwnAuditEvents(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r)
	token := q.OnlyToken()
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	v, err := h.Audit.Verify(r.Context(), api.PrincipalFrom(r.Context()).AccountID, token)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AuditVerificationOf(v))
}
