package main

import (
	"errors"
	"net/http"

	"contactcenter/shared/api"
	"contactcenter/shared/id"
	"contactcenter/shared/usage"
)

// GetOperatorUsage answers GET /v1/operator/usage.
func (h *Handler) GetOperatorUsage(w http.ResponseWriter, r *http.Request) {
	q := api.ReadQuery(r, "account_id")
	accountID := q.Get("account_id")
	if accountID == "" {
		q.Invalid("account_id", "is required")
	}
	if err := q.Err(); err != nil {
		api.WriteError(w, r, err)
		return
	}
	if _, err := h.Accounts.Find(r.Context(), accountID); err != nil {
		api.WriteError(w, r, accountProblem(r, err))
		return
	}
	st, err := h.Accounts.Standing(r.Context(), accountID, true)
	if err != nil {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	g, err := h.Gates.Read(r.Context(), accountID, true)
	if err != nil && !errors.Is(err, usage.ErrNoGate) {
		api.WriteError(w, r, api.TryAgain(r, err))
		return
	}
	inFlight := g.InFlight(func(id.Message) bool { return false })
	api.WriteJSON(w, http.StatusOK, api.UsageOf(g, st, h.Now(), inFlight))
}
