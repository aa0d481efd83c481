package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// the hash of each document in the published Rules is that of the document's bytes, as its URL serves them.
// the Rules name eight categories of prohibited use.
func TestTheSeedsDocumentsHaveTheHashesThatThePublishedRulesName(t *testing.T) {
	t.Parallel()
	var seeds []struct {
		Path string `json:"path"`
		Body struct {
			Documents []struct {
				ID     string `json:"id"`
				SHA256 string `json:"sha256"`
				URL    string `json:"url"`
			} `json:"documents"`
			ProhibitedUses []struct {
				ID string `json:"id"`
			} `json:"prohibited_uses"`
		} `json:"body"`
	}
	if err := json.Unmarshal(seedFile, &seeds); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dev/legal/{document}", showLegal)
	seen := 0
	for _, s := range seeds {
		if s.Path != "/v1/operator/rules" {
			continue
		}
		if n := len(s.Body.ProhibitedUses); n != 8 {
			t.Errorf("there are %d prohibited uses", n)
		}
		for _, d := range s.Body.Documents {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(d.URL, "{api}"), nil))
			sum := sha256.Sum256(w.Body.Bytes())
			if w.Code != http.StatusOK || hex.EncodeToString(sum[:]) != d.SHA256 {
				t.Errorf("%s: %d, the hash is %x, the Rules say %s", d.ID, w.Code, sum, d.SHA256)
			}
			seen++
		}
	}
	if seen != 4 {
		t.Errorf("%d documents were compared", seen)
	}
}
