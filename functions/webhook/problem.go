package main

import (
	"net/http"

	"contactcenter/shared/api"
)

// refuse answers a callback with a problem. Providers read the status only; a person who tries the URL reads the rest.
func refuse(w http.ResponseWriter, r *http.Request, status int, code api.Code, detail string) {
	api.WriteError(w, r, api.NewProblem(code).WithStatus(status).WithDetail(detail))
}
