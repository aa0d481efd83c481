package main

import (
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/attr"
)

// ListOwnAuditEvents answers GET /v1/audit-events: what was done in the account and to it, newest first.
func (h *Handler) ListOwnAuditEvents(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r)
	size, token := q.Page()
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	list, next, err := h.Audit.Of(r.Context(), api.PrincipalFrom(r.Context()).AccountID, attr.Page{Size: size, Token: token})
	switch {
	case errors.Is(err, attr.ErrToken):
		api.WriteError(w, r, api.BadPageToken())
		return
	case err != nil:
		api.WriteError(w, r, api.TryAgain(r, err))
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
