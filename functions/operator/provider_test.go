package main

import (
	"fmt"
	"strings"
	"testing"

	"contactcenter/shared/audit/audittest"
)

// a provider is added and changed at run time, each time as a version with its reason, and as an event.
func TestAProvidersVersionsTellWhatItSaidAndWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const path = "/v1/operator/providers/edna"
	with := func(extra string) string { return strings.TrimSuffix(ednaBody, "}") + "," + extra + "}" }
	op.Get(path+"/versions").Want(t, "an unknown provider", 404, "not_found")
	op.Do("PUT", path, with(`"reason":"we begin"`)).Want(t, "add", 200, "")
	limited := op.Do("PUT", path, with(`"limits":{"rate":{"limit":80,"window_seconds":1},"per_sender":{"limit":30,"window_seconds":1,"burst":3},"per_recipient":{"limit":1,"window_seconds":6}},"reason":"they wrote it down"`)).Want(t, "limit", 200, "")
	if want := `"limits":{"per_recipient":{"limit":1,"window_seconds":6},"per_sender":{"burst":3,"limit":30,"window_seconds":1},"rate":{"burst":1,"limit":80,"window_seconds":1}}`; !strings.Contains(limited.Body, want) {
		t.Errorf("the answer is %s, want %s", limited.Body, want)
	}
	op.Do("PUT", path, strings.Replace(ednaBody, "enabled", "disabled", 1)).Want(t, "disable", 200, "")

	first := op.Get(path+"/versions?page_size=2").Want(t, "versions", 200, "")
	second := op.Get(path+"/versions?page_size=2&page_token="+first.Text("next_page_token")).Want(t, "next page", 200, "")
	var got []string
	for _, page := range []any{first.JSON["items"], second.JSON["items"]} {
		for _, it := range page.([]any) {
			v := it.(map[string]any)
			got = append(got, fmt.Sprint(v["version"], " ", v["reason"], " ", v["provider"].(map[string]any)["status"]))
		}
	}
	if want := "[3 <nil> disabled 2 they wrote it down enabled 1 we begin enabled]"; fmt.Sprint(got) != want {
		t.Errorf("versions are %v, want %s", got, want)
	}
	op.Get(path+"/versions?page_token=x").Want(t, "a foreign page token", 422, "invalid_request")

	var events []string
	for _, e := range audittest.Of(t, w.providers.Audit, "") {
		events = append(events, e.Action+" "+e.Reason)
	}
	if want := "provider.added we begin, provider.changed they wrote it down, provider.disabled "; strings.Join(events, ", ") != want {
		t.Errorf("events are %q, want %q", events, want)
	}
	w.User("acct_1", "user_1").Do("PUT", path, ednaBody).Want(t, "a customer", 403, "")

	for name, extra := range map[string]string{
		"a limit of two to one recipient":  `"limits":{"per_recipient":{"limit":2,"window_seconds":6}}`,
		"a burst above the limit":          `"limits":{"rate":{"limit":5,"window_seconds":1,"burst":6}}`,
		"a window of nothing":              `"limits":{"rate":{"limit":5,"window_seconds":0}}`,
		"a sender's burst above its limit": `"limits":{"per_sender":{"limit":5,"window_seconds":1,"burst":6}}`,
		"a sender that may send nothing":   `"limits":{"per_sender":{"limit":0,"window_seconds":1}}`,
		"an unknown limit":                 `"limits":{"per_day":5}`,
		"a long reason":                    `"reason":"` + strings.Repeat("x", 257) + `"`,
	} {
		op.Do("PUT", path, with(extra)).Want(t, name, 422, "invalid_request")
	}
	if got := op.Get(path + "/versions"); len(got.JSON["items"].([]any)) != 3 {
		t.Errorf("a refused request changed the entry: %s", got.Body)
	}
}

// an entry names what speaks to its provider, of what there is; its versions and the log tell that.
func TestAnEntryNamesOneOfTheAdaptersThatThereAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	op := w.Operator()
	const path = "/v1/operator/providers/x_chat"
	with := func(extra string) string { return strings.TrimSuffix(ednaBody, "}") + extra + "}" }
	for name, extra := range map[string]string{"unknown": `,"adapter":"x_chat"`, "empty": `,"adapter":""`, "what channels say that nothing speaks for": `,"adapter":"-"`} {
		refused := op.Do("PUT", path, with(extra)).Want(t, name, 422, "invalid_request")
		if refused.Field() != "adapter" || name == "unknown" && !strings.Contains(refused.Body, "edna, telegram") {
			t.Errorf("%s: the answer is %s", name, refused.Body)
		}
	}
	op.Get(path).Want(t, "what was refused", 404, "not_found")

	listed := op.Do("PUT", path, with("")).Want(t, "no adapter", 200, "")
	if _, there := listed.JSON["adapter"]; there {
		t.Errorf("without an adapter the entry is %s", listed.Body)
	}
	spoken := op.Do("PUT", path, with(`,"adapter":"telegram"`)).Want(t, "one that there is", 200, "")
	read := op.Get(path)
	if read.Text("adapter") != "telegram" || read.Body != spoken.Body {
		t.Errorf("read is %s", read.Body)
	}
	if again := op.Do("PUT", path, read.Body).Want(t, "put back", 200, ""); again.Body != read.Body {
		t.Errorf("put back it is %s", again.Body)
	}
	versions := op.Get(path + "/versions").JSON["items"].([]any)
	if len(versions) != 2 || versions[0].(map[string]any)["provider"].(map[string]any)["adapter"] != "telegram" || versions[1].(map[string]any)["provider"].(map[string]any)["adapter"] != nil {
		t.Errorf("the versions are %v", versions)
	}
	events := audittest.Of(t, w.providers.Audit, "")
	if last := events[len(events)-1]; last.Action != "provider.changed" || last.After["adapter"] != "telegram" {
		t.Errorf("the last event is %+v", last)
	}
}
