package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// behave sets how the provider treats one sender from now on; without settings, as usual.
func (s *stack) behave(ctx context.Context, sender int64, settings map[string]any) error {
	all := map[string]any{"sender_id": sender, "callbacks": true}
	maps.Copy(all, settings)
	got, err := s.do(ctx, http.MethodPut, s.sim+"/_sim/behaviour", "", all)
	if err == nil {
		err = got.into(http.StatusOK, nil)
	}
	if err != nil {
		return fmt.Errorf("steer the simulator: %w", err)
	}
	return nil
}

// inbound lets a recipient write; replyTo is the message that is answered, "" for none.
func (s *stack) inbound(ctx context.Context, sender int64, from, text, replyTo string) error {
	body := map[string]any{"sender_id": sender, "from": from, "text": text}
	if replyTo != "" {
		body["reply_to_request_id"] = replyTo
	}
	got, err := s.do(ctx, http.MethodPost, s.sim+"/_sim/inbound", "", body)
	if err != nil {
		return err
	}
	var told struct {
		Delivered bool `json:"delivered"`
	}
	if err := got.into(http.StatusOK, &told); err != nil {
		return err
	}
	if !told.Delivered {
		return errors.New("the callback with the recipient's message was not taken")
	}
	return nil
}

// providerCall is one call by which a message was handed to the provider.
type providerCall struct {
	Seq       int       `json:"seq"`
	At        time.Time `json:"at"`
	RequestID string    `json:"request_id"`
	Accepted  bool      `json:"accepted"`
	Duplicate bool      `json:"duplicate"`
}

// sends are the calls by which messages were handed over, oldest first, by one message or by one sender.
func (s *stack) sends(ctx context.Context, query url.Values) ([]providerCall, error) {
	query.Set("path", "cascade/schedule")
	var told struct {
		Calls []providerCall `json:"calls"`
	}
	if err := s.get(ctx, s.sim+"/_sim/calls?"+query.Encode(), &told); err != nil {
		return nil, fmt.Errorf("ask what the provider saw: %w", err)
	}
	return told.Calls, nil
}

func (s *stack) sendsOf(ctx context.Context, messageID string) ([]providerCall, error) {
	return s.sends(ctx, url.Values{"request_id": {messageID}})
}

// acceptances counts by message how often the provider took it.
func acceptances(calls []providerCall) map[string]int {
	out := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			out[c.RequestID]++
		}
	}
	return out
}

// takenTwice counts messages that the provider took more than once.
func takenTwice(taken map[string]int) int {
	n := 0
	for _, times := range taken {
		if times > 1 {
			n++
		}
	}
	return n
}
