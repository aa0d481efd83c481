package main

import (
	"net/http"

	"contactcenter/shared/api"
)

// GetOperatorReport answers GET /v1/operator/reports/{month}.
func (h *Handler) GetOperatorReport(w http.ResponseWriter, r *http.Request) {
	api.ShowReport(w, r, h.Reports)
}
