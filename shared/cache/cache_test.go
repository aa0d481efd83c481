package cache_test

import (
	"errors"
	"testing"
	"time"

	"contactcenter/shared/cache"
)

func TestAValueIsKeptForItsTimeAndNoLonger(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	c := cache.New[string, int](5*time.Second, 2, func() time.Time { return now })
	reads := 0
	load := func(want int) {
		t.Helper()
		got, err := c.Load("a", func() (int, error) { reads++; return reads, nil })
		if err != nil || got != want {
			t.Fatalf("got %d, %v, want %d", got, err, want)
		}
	}
	load(1)
	now = now.Add(5*time.Second - 1)
	load(1)
	now = now.Add(1)
	load(2)
	c.Forget("a")
	load(3)
	now = now.Add(-time.Minute) // a clock that was put back proves nothing
	load(4)
}

func TestAnOlderReadingDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	c := cache.New[string, string](5*time.Second, 2, func() time.Time { return now })
	c.Put("a", "newer", now)
	c.Put("a", "older", now.Add(-time.Second))
	if got, _ := c.Get("a"); got != "newer" {
		t.Errorf("got %q", got)
	}
}

func TestTheCacheStaysWithinItsSizeAndKeepsNoErrors(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	c := cache.New[int, int](5*time.Second, 3, func() time.Time { return now })
	for i := range 10 {
		c.Put(i, i, now)
	}
	for i := range 10 {
		if _, ok := c.Get(i); ok != (i >= 7) {
			t.Errorf("%d is kept: %v", i, ok)
		}
	}
	want := errors.New("no")
	if _, err := c.Load(99, func() (int, error) { return 0, want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	if _, ok := c.Get(99); ok {
		t.Error("an error was kept")
	}
}
