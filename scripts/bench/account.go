package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

const allScopes = "messages:read messages:write channels:read channels:write channels:activate account:read account:write"

// sender is a Customer Account with an active channel.
type sender struct {
	*stack
	header  map[string]string
	channel string
	// number is the channel's sender in the provider's books.
	number int64
}

func (s *stack) token(ctx context.Context, accountID, scope string) (map[string]string, error) {
	var told struct {
		AccessToken string `json:"access_token"`
	}
	in := map[string]string{"sub": "user_1", "scope": scope}
	if accountID != "" {
		in["account_id"] = accountID
	}
	if err := s.call(ctx, http.MethodPost, s.api+"/dev/token", nil, in, &told, http.StatusOK); err != nil {
		return nil, err
	}
	return map[string]string{"Authorization": "Bearer " + told.AccessToken}, nil
}

// newSender makes an account on a plan that leaves room for everything, accepts the Rules and activates a channel.
func (s *stack) newSender(ctx context.Context, accountID string) (*sender, error) {
	operator, err := s.token(ctx, "", "operator")
	if err != nil {
		return nil, err
	}
	plan := map[string]any{"limit": 1_000_000, "period": "month", "rate": map[string]int{"limit": 1000, "window_seconds": 1, "burst": 1000}}
	if err := s.call(ctx, http.MethodPut, s.api+"/v1/operator/plans/bench", operator, plan, nil, http.StatusOK); err != nil {
		return nil, err
	}
	if err := s.call(ctx, http.MethodPut, s.api+"/v1/operator/accounts/"+accountID, operator, map[string]string{"plan_id": "bench"}, nil, http.StatusOK); err != nil {
		return nil, err
	}
	a := &sender{stack: s}
	if a.header, err = s.token(ctx, accountID, allScopes); err != nil {
		return nil, err
	}
	var rules struct {
		Version   string `json:"version"`
		Documents []struct {
			ID      string `json:"id"`
			Version string `json:"version"`
			SHA256  string `json:"sha256"`
		} `json:"documents"`
	}
	if err := s.call(ctx, http.MethodGet, s.api+"/v1/rules/current", nil, nil, &rules, http.StatusOK); err != nil {
		return nil, err
	}
	accept := map[string]any{"rules_version": rules.Version, "documents": rules.Documents, "capacity": "self"}
	if err := s.call(ctx, http.MethodPost, s.api+"/v1/rules/acceptances", a.header, accept, nil, http.StatusCreated); err != nil {
		return nil, err
	}
	return a, a.activate(ctx, rules.Version)
}

func (a *sender) activate(ctx context.Context, rulesVersion string) error {
	var provider struct {
		TermsVersion      string   `json:"terms_version"`
		TransferCountries []string `json:"transfer_countries"`
	}
	if err := a.call(ctx, http.MethodGet, a.api+"/v1/providers/edna", a.header, nil, &provider, http.StatusOK); err != nil {
		return err
	}
	var channel struct {
		ID      string `json:"id"`
		Address string `json:"address"`
	}
	if err := a.call(ctx, http.MethodPost, a.api+"/v1/channels", a.header, map[string]string{"provider_id": "edna", "name": "bench"}, &channel, http.StatusCreated); err != nil {
		return err
	}
	confirm := map[string]any{"rules_version": rulesVersion, "provider_terms_version": provider.TermsVersion, "transfer_countries": provider.TransferCountries}
	if err := a.call(ctx, http.MethodPost, a.api+"/v1/channels/"+channel.ID+"/activate", a.header, confirm, &channel, http.StatusOK); err != nil {
		return err
	}
	a.channel = channel.ID
	var err error
	a.number, err = strconv.ParseInt(channel.Address[max(0, len(channel.Address)-4):], 10, 64)
	return err
}

// post sends one message and gives its id.
func (a *sender) post(ctx context.Context, to, text, key string) (string, error) {
	header := a.header
	if key != "" {
		header = map[string]string{"Authorization": a.header["Authorization"], "Idempotency-Key": key}
	}
	var m struct {
		ID string `json:"id"`
	}
	in := map[string]any{"channel_id": a.channel, "to": to, "content": map[string]string{"type": "text", "text": text}}
	err := a.call(ctx, http.MethodPost, a.api+"/v1/messages", header, in, &m, http.StatusAccepted)
	return m.ID, err
}

// postBatch posts a message to each of up to 100 people in one request, and gives the messages' ids. The first one's number and the mark
// make the texts and the key.
func (a *sender) postBatch(ctx context.Context, people []string, first int, mark string) ([]string, error) {
	messages := make([]map[string]any, len(people))
	for i, to := range people {
		messages[i] = map[string]any{"channel_id": a.channel, "to": to, "content": map[string]string{"type": "text", "text": fmt.Sprintf(text, first+i, mark)}}
	}
	var told struct {
		Results []struct {
			Message *struct {
				ID string `json:"id"`
			} `json:"message"`
		} `json:"results"`
	}
	header := map[string]string{"Authorization": a.header["Authorization"], "Idempotency-Key": mark + people[0]}
	if err := a.call(ctx, http.MethodPost, a.api+"/v1/messages/batch", header, map[string]any{"messages": messages}, &told, http.StatusAccepted); err != nil {
		return nil, err
	}
	if len(told.Results) != len(people) {
		return nil, fmt.Errorf("%d of %d messages of a batch were answered", len(told.Results), len(people))
	}
	ids := make([]string, len(people))
	for i, result := range told.Results {
		if result.Message == nil {
			return nil, errors.New("a message of a batch was refused")
		}
		ids[i] = result.Message.ID
	}
	return ids, nil
}

func (a *sender) status(ctx context.Context, id string) (string, error) {
	var m struct {
		Status string `json:"status"`
	}
	err := a.call(ctx, http.MethodGet, a.api+"/v1/messages/"+id, a.header, nil, &m, http.StatusOK)
	return m.Status, err
}

// inbound lets a person write to the channel.
func (a *sender) inbound(ctx context.Context, from, text string) error {
	var told struct {
		Delivered bool `json:"delivered"`
	}
	err := a.call(ctx, http.MethodPost, a.sim+"/edna/_sim/inbound", nil, map[string]any{"sender_id": a.number, "from": from, "text": text}, &told, http.StatusOK)
	if err == nil && !told.Delivered {
		err = fmt.Errorf("the callback of an inbound message was not answered with 200")
	}
	return err
}
