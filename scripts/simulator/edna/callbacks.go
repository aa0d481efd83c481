package edna

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// delivery is one webhook call on its way.
type delivery struct {
	url        string
	body       any
	attempt    int
	generation int
}

// deliver makes the first attempt, with its repeats, and schedules further ones if it is not answered with exactly 200.
// It returns the status that was answered, 0 when none was.
func (s *Simulator) deliver(ctx context.Context, d delivery, b behaviour) int {
	body := d.body
	if b.ArrayCallbacks {
		body = []any{body}
	}
	raw := marshal(body)
	status := s.post(ctx, d.url, raw)
	for range b.RepeatCallbacks {
		_ = s.post(ctx, d.url, raw)
	}
	if status != http.StatusOK {
		s.retry(d, raw, status, b.RetryScale)
	}
	return status
}

func (s *Simulator) retry(d delivery, raw []byte, status int, scale float64) {
	if d.attempt >= len(s.o.RetrySchedule) {
		s.o.Logger.Warn("callback given up", "attempts", d.attempt+1, "status", status)
		return
	}
	wait := s.o.RetrySchedule[d.attempt]
	if scale > 0 {
		wait = time.Duration(float64(wait) * scale)
	}
	d.attempt++
	s.o.Logger.Info("callback will be repeated", "attempt", d.attempt, "status", status, "wait_ms", wait.Milliseconds())
	s.queue.after(wait, func(ctx context.Context) {
		if !s.queue.current(d.generation) {
			return
		}
		if status := s.post(ctx, d.url, raw); status != http.StatusOK {
			s.retry(d, raw, status, scale)
		}
	})
}

func (s *Simulator) post(ctx context.Context, url string, raw []byte) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", s.o.WebhookKey)
	resp, err := s.o.HTTP.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode
}
