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
	files, err := legal.ReadDir("legal")
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"message": "Internal Server Error"})
		return
	}
	for _, f := range files {
		if f.Name() == r.PathValue("document")+".txt" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			http.ServeFileFS(w, r, legal, "legal/"+f.Name())
			return
		}
	}
	writeJSON(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
}
