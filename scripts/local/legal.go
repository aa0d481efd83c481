package main

import (
	"embed"
	"net/http"
)

// legal are placeholders for the documents that the Rules of seed.json name. Their hashes stand there: a text that is changed
// here is another document.
//
//go:embed legal/*.txt
var legal embed.FS

// showLegal serves a document as it was hashed, byte for byte.
func showLegal(w http.ResponseWriter, r *http.Request) {
	text, err := legal.ReadFile("legal/" + r.PathValue("document") + ".txt")
	if err != nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text) // a caller that has gone by now can't be told anything
}
