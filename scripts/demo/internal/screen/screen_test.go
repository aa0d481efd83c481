package screen

import (
	"strings"
	"testing"
	"time"
)

func TestDurationsAreReadable(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 ms", 4_400_000: "4 ms", 999_600_000: "1,000 ms", 3351 * time.Millisecond: "3,351 ms", 60_240 * time.Millisecond: "60.2 s",
	} {
		if got := Milliseconds(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}

func TestThousandsAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -12: "-12"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestHopsStandInOneColumn(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		hopLine(4*time.Millisecond, "API 202 in 4 ms"):        "       4 ms  API 202 in 4 ms",
		hopLine(1234*time.Millisecond, "→ delivered"):         "   1,234 ms  → delivered",
		Way([]string{"API 202 in 4 ms", "queue", "accepted"}): "API 202 in 4 ms → queue → accepted",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPlainScreenHasNoEscapeSequences(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &Screen{Out: &out}
	s.Title("Title")
	s.Transient("never seen")
	s.Note("note")
	s.Check(true, "kept", "1 of 1")
	s.Check(false, "accepted once", "accepted 2")
	s.Summary()
	want := "\nTitle\n  note\n  ✓ kept (1 of 1)\n  ✗ BROKEN: accepted once (accepted 2)\n\n1 passed, 1 failed\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestTransientLineGivesWayToTheNext(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &Screen{Out: &out, Live: true}
	s.Transient("59 s")
	s.Transient("58 s")
	s.Line("done")
	s.Clear()
	want := "59 s\r\x1b[K58 s\r\x1b[Kdone\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestPictureGivesWayToTheNextLineByLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &Screen{Out: &out, Live: true, Width: func() int { return 4 }}
	s.Picture("one", "\x1b[1mtwo two\x1b[0m")
	s.Picture("three")
	s.Line("done")
	want := "one\n\x1b[1mtwo \x1b[0m\r\x1b[K\x1b[1A\x1b[Kthre\r\x1b[Kdone\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
