package main

import (
	"net/http"

	"contactcenter/shared/api"
)

// GetReport answers GET /v1/reports/{month}.
func (h *Handler) GetReport(w http.ResponseWriter, r *http.Request) {
	api.ShowReport(w, r, h.Reports)
}
