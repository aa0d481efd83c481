package api

import (
	"encoding/json"
	"testing"
)

func TestATimeIsReadAsStrictlyAsTheRFCSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-12-01T10:00:00Z":           `"2026-12-01T10:00:00.000Z"`,
		"2026-12-01T12:30:00+02:30":      `"2026-12-01T10:00:00.000Z"`,
		"2026-12-01T10:00:00.123456789Z": `"2026-12-01T10:00:00.123Z"`,
		"2026-12-01T10:00:00-00:00":      `"2026-12-01T10:00:00.000Z"`,
		"2026-12-01T10:00:00,5Z":         "",
		"2026-12-01T1:00:00Z":            "",
		"2026-12-01T10:00:00+24:00":      "",
		"2026-12-01T10:00:00+02:60":      "",
		"2026-12-01T24:00:00Z":           "",
		"2026-02-30T10:00:00Z":           "",
		"2026-12-01T10:00:00":            "",
		"2026-12-01":                     "",
		" 2026-12-01T10:00:00Z":          "",
		"1969-12-31T23:59:59Z":           "",
		"9999-12-31T23:59:59-01:00":      "",
	} {
		var at Time
		err := json.Unmarshal([]byte(`"`+text+`"`), &at)
		if got, _ := json.Marshal(at); (err == nil) != (want != "") || err == nil && string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
