package main

import "net/http"

func refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	http.Error(w, code+": "+detail, status)
}
