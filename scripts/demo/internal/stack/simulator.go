package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// steering is where a provider's simulator is steered.
func (s *Stack) steering(provider, what string) string {
	return s.sim + "/" + provider + "/_sim/" + what
}

// Behave sets how the provider treats the account's sender from now on; without settings, as usual.
func (a *Account) Behave(ctx context.Context, settings map[string]any) error {
	all := map[string]any{"sender_id": a.Sender, "callbacks": true}
	maps.Copy(all, settings)
	if err := a.Stack.Call(ctx, http.MethodPut, a.Stack.steering(a.need.Provider, "behaviour"), all, http.StatusOK, nil); err != nil {
		return fmt.Errorf("steer the simulator: %w", err)
	}
	return nil
}

// Inbound lets a recipient write to the account; replyTo is the message that is answered, "" for none.
func (a *Account) Inbound(ctx context.Context, from, text, replyTo string) error {
	body := map[string]any{"sender_id": a.Sender, "from": from, "text": text}
	if replyTo != "" {
		body["reply_to_request_id"] = replyTo
	}
	var told struct {
		Delivered bool `json:"delivered"`
	}
	if err := a.Stack.Call(ctx, http.MethodPost, a.Stack.steering(a.need.Provider, "inbound"), body, http.StatusOK, &told); err != nil {
		return err
	}
	if !told.Delivered {
		return errors.New("the callback with the recipient's message was not taken")
	}
	return nil
}

// Send is one call by which a message was handed to the provider, as its simulator saw it.
type Send struct {
	Seq       int       `json:"seq"`
	At        time.Time `json:"at"`
	MessageID string    `json:"request_id"`
	Accepted  bool      `json:"accepted"`
	Duplicate bool      `json:"duplicate"`
	// Reported are the statuses of the message that were told and taken.
	Reported []string `json:"reported"`
}

// Sends are the calls by which the account's messages were handed over, oldest first. The sender may have been another account's
// before: its calls are left out.
func (a *Account) Sends(ctx context.Context) ([]Send, error) {
	return a.sends(ctx, url.Values{"sender_id": {a.Sender}, "after": {strconv.Itoa(a.before)}})
}

// SendsOf are those of one message.
func (a *Account) SendsOf(ctx context.Context, messageID string) ([]Send, error) {
	return a.sends(ctx, url.Values{"request_id": {messageID}})
}

// sendPath is how the path ends by which a provider takes messages.
func sendPath(provider string) string {
	if provider == "twilio_sms" {
		return "/Messages.json"
	}
	return "cascade/schedule"
}

func (a *Account) sends(ctx context.Context, query url.Values) ([]Send, error) {
	query.Set("path", sendPath(a.need.Provider))
	var told struct {
		Calls []Send `json:"calls"`
	}
	if err := a.Stack.Get(ctx, a.Stack.steering(a.need.Provider, "calls")+"?"+query.Encode(), &told); err != nil {
		return nil, fmt.Errorf("ask what the provider saw: %w", err)
	}
	return told.Calls, nil
}

// Acceptances counts by message how often the provider took it.
func Acceptances(calls []Send) map[string]int {
	out := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			out[c.MessageID]++
		}
	}
	return out
}

// TakenTwice counts messages that the provider took more than once.
func TakenTwice(taken map[string]int) int {
	n := 0
	for _, times := range taken {
		if times > 1 {
			n++
		}
	}
	return n
}

// OutOfOrder counts messages that the provider took before an earlier one of the same list. Each list is in the order of sending;
// what was never taken is no matter.
func OutOfOrder(sent [][]string, calls []Send) int {
	at := map[string]int{}
	for _, c := range calls {
		if c.Accepted {
			at[c.MessageID] = c.Seq
		}
	}
	n := 0
	for _, list := range sent {
		last := 0
		for _, id := range list {
			seq, taken := at[id]
			if !taken {
				continue
			}
			if seq < last {
				n++
			}
			last = seq
		}
	}
	return n
}
