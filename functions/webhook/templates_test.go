package main

import (
	"net/http"
	"testing"
	"time"

	"contactcenter/shared/provider"
	keep "contactcenter/shared/templates"
)

func TestNewsOfATemplateMakesTheKeptListStale(t *testing.T) {
	t.Parallel()
	const news = `{"id":98,"name":"order_ready","channelType":"WHATSAPP","language":"en","content":{"text":"x"},"status":"APPROVED"}`
	for name, c := range map[string]struct {
		body, key string
		want      int
		fresh     bool
	}{
		"told":                        {"[" + news + "," + news + "]", hookKey, http.StatusOK, false},
		"told in the older shape":     {`{"messageMatcher":` + news + `,"subjectIds":[1001]}`, hookKey, http.StatusOK, false},
		"told of another's":           {`{"messageMatcher":` + news + `,"subjectIds":[1002]}`, hookKey, http.StatusOK, true},
		"told by nobody that we know": {news, "other", http.StatusUnauthorized, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, ch := range []string{w.first, w.second} {
				if err := w.templates.Save(t.Context(), acct, ch, keep.New([]provider.Template{{Name: "order_ready"}}, noon.Add(-time.Second))); err != nil {
					t.Fatal(err)
				}
			}
			if a := w.server.As(nil).With("Authorization", c.key).Do(http.MethodPost, path(w.first), c.body); a.Status != c.want {
				t.Fatalf("answered %d %s", a.Status, a.Body)
			}
			for ch, fresh := range map[string]bool{w.first: c.fresh, w.second: true} {
				l, err := w.templates.Get(t.Context(), acct, ch)
				if err != nil || l.Fresh(noon) != fresh || len(l.Templates) != 1 {
					t.Errorf("%s: got %+v, %v, want fresh %v", ch, l, err, fresh)
				}
			}
		})
	}
	w := newWorld(t)
	w.db.countdown.Store(1)
	if status := w.post(w.first, "["+news+"]"); status != http.StatusServiceUnavailable {
		t.Errorf("news that could not be kept were answered %d: they must come again", status)
	}
}
