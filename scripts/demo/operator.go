package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"contactcenter/scripts/demo/internal/stack"
)

// playOperator shows that nobody but the customer's own user activates a channel.
func playOperator(ctx context.Context, d *demo) error {
	a, err := stack.NewAccount(ctx, d.stack, stack.Need{Limit: messageLimit})
	defer a.Leave(ctx)
	if err != nil {
		return err
	}
	attempts := []struct {
		who, why string
		*stack.Caller
	}{
		{"the operator", "the route takes the tokens of the CRM's issuer only, and an operator's come from another", d.stack.Operator()},
		{"a token of the customer's with the scope operator", "the route asks for channels:activate", d.stack.User(a.ID, "user_demo", "operator")},
	}
	for _, t := range attempts {
		got, err := t.Do(ctx, http.MethodPost, a.Activation(), a.Confirm)
		if err != nil {
			return err
		}
		d.screen.Line(fmt.Sprintf("    POST %s by %s", a.Activation(), t.who))
		d.screen.Line(fmt.Sprintf("    %d %s", got.Status, oneLine(got.Body)))
		refused := got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden
		d.screen.Check(refused, t.who+": refused", fmt.Sprintf("%d: %s", got.Status, t.why))
	}
	var now stack.Channel
	if err := a.Call(ctx, http.MethodGet, "/v1/channels/"+a.Channel.ID, nil, http.StatusOK, &now); err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.screen.Check(now.Status == "inactive", "nothing has changed", "the channel is "+now.Status)
	err = a.Activate(ctx)
	found := "200, the channel is " + a.Channel.Status
	if err != nil {
		found = err.Error()
	}
	d.screen.Check(err == nil && a.Channel.Status == "active", "the customer's own user may", found)
	return nil
}

// oneLine is the beginning of a body, on one line.
func oneLine(body []byte) string {
	const most = 200
	line := strings.Join(strings.Fields(string(bytes.ToValidUTF8(body, nil))), " ")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}
