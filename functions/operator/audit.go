package main

import (
	"net/http"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/audit"
)

// auditEvent begins the audit event of what the operator does now, with the reason that they give.
func auditEvent(r *http.Request, reason string) audit.Event {
	e := api.AuditEvent(r.Context())
	e.Reason = reason
	return e
}

// ListAuditEvents answers GET /v1/operator/audit-events, newest first.
func (h *Handler) ListAuditEvents(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "account_id")
	page, accountID := q.Page(), concerned(q)
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Audit.All(r.Context(), page, accountID)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AuditRecordList{Items: api.ItemsOf(list, api.AuditRecordOf), NextPageToken: next})
}

// VerifyAuditEvents answers GET /v1/operator/audit-events/verification, of an account or of the operator's own affairs.
func (h *Handler) VerifyAuditEvents(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "account_id")
	accountID, token := concerned(q), q.OnlyToken()
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	v, err := h.Audit.Verify(r.Context(), accountID, token)
	if err != nil {
		api.WriteError(w, r, api.ListProblem(r, err))
		return
	}
	api.WriteJSON(w, http.StatusOK, api.AuditVerificationOf(v))
}

// concerned gives the account that is asked for, "" where none is.
func concerned(q *api.Query) string {
	accountID := q.Get("account_id")
	if accountID != "" && !account.ValidID(accountID) {
		q.Invalid("account_id", "can't be an account's id")
	}
	return accountID
}
