package main

import (
	"testing"
	"time"
)

// an account says how long its messages are kept; that is audited, and intake sees it within 5 s.
func TestR9_10AnAccountSetsItsRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.User("acct_1", "user_7")
	if got := user.Get("/v1/account").Want(t, "default", 200, ""); got.JSON["retention_days"] != 365.0 {
		t.Errorf("%s", got.Body)
	}
	for name, body := range map[string]string{
		"none": `{}`, "zero": `{"retention_days":0}`, "negative": `{"retention_days":-1}`, "too long": `{"retention_days":3651}`, "a fraction": `{"retention_days":1.5}`,
		"text": `{"retention_days":"30"}`, "an unknown field": `{"retention_days":30,"plan_id":"x"}`,
	} {
		user.Do("PATCH", "/v1/account", body).Want(t, name, 422, "invalid_request")
	}
	if got := user.Do("PATCH", "/v1/account", `{"retention_days":30}`).Want(t, "set", 200, ""); got.JSON["retention_days"] != 30.0 {
		t.Errorf("%s", got.Body)
	}
	user.Do("PATCH", "/v1/account", `{"retention_days":30}`).Want(t, "again", 200, "")
	user.Do("PATCH", "/v1/account", `{"retention_days":3650}`).Want(t, "set anew", 200, "")
	if got := w.User("acct_2", "user_1").Get("/v1/account"); got.JSON["retention_days"] != 365.0 {
		t.Errorf("another account: %s", got.Body)
	}
	w.clock.Pass(6 * time.Second)
	st, err := w.accounts.Standing(t.Context(), "acct_1", false)
	if err != nil || st.Retention != 3650*24*time.Hour {
		t.Errorf("%v %v", st.Retention, err)
	}
	n := 0
	list := user.Get("/v1/audit-events").Want(t, "audit", 200, "").JSON["items"].([]any)
	for _, e := range list {
		if e.(map[string]any)["action"] == "account.retention_changed" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d events of %v", n, list)
	}
}
