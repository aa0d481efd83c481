package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
)

// playOperator shows that nobody but the customer's own user activates a channel.
func playOperator(ctx context.Context, d *demo) error {
	a, err := newAccount(ctx, d.stack, messageLimit)
	defer a.leave(ctx)
	if err != nil {
		return err
	}
	operator, err := d.stack.operator(ctx)
	if err != nil {
		return err
	}
	disguised, err := d.stack.user(ctx, a.id, "operator")
	if err != nil {
		return err
	}
	attempts := []struct {
		who, why string
		caller
	}{
		{"the operator", "the route takes the tokens of the CRM's issuer only, and an operator's come from another", operator},
		{"a token of the customer's with the scope operator", "the route asks for channels:activate", disguised},
	}
	for _, t := range attempts {
		got, err := t.do(ctx, http.MethodPost, a.activation(), a.confirm)
		if err != nil {
			return err
		}
		d.screen.line(fmt.Sprintf("    POST %s by %s", a.activation(), t.who))
		d.screen.line(fmt.Sprintf("    %d %s", got.status, oneLine(got.body)))
		refused := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden
		d.screen.check(refused, t.who+": refused", fmt.Sprintf("%d: %s", got.status, t.why))
	}
	var now channel
	if err := a.call(ctx, http.MethodGet, "/v1/channels/"+a.channel.ID, nil, http.StatusOK, &now); err != nil {
		return fmt.Errorf("read the channel: %w", err)
	}
	d.screen.check(now.Status == "inactive", "nothing has changed", "the channel is "+now.Status)
	err = a.activate(ctx)
	found := "200, the channel is " + a.channel.Status
	if err != nil {
		found = err.Error()
	}
	d.screen.check(err == nil && a.channel.Status == "active", "the customer's own user may", found)
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
