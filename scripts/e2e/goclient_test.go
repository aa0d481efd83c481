//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"contactcenter/shared/api"
	"contactcenter/shared/client"
	stored "contactcenter/shared/content"
)

// lossy loses the first answers to messages that are sent, after the API has given them, and holds all answers against
// the document.
type lossy struct {
	t    *testing.T
	lose atomic.Int64
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer discard(resp.Body)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := common.contract.Check(r.Method, r.URL.EscapedPath(), resp.StatusCode, resp.Header, body); err != nil {
		l.t.Errorf("%s %s: not as the OpenAPI document says: %v", r.Method, r.URL.Path, err)
	}
	if strings.HasPrefix(r.URL.Path, "/v1/messages") && r.Method == http.MethodPost && l.lose.Add(-1) >= 0 {
		return nil, errors.New("the answer is lost")
	}
	out := *resp
	out.Body = io.NopCloser(bytes.NewReader(body))
	return &out, nil
}

// The Go client goes the way from nothing to a delivered message, and an answer that gets lost makes no second message.
func TestTheGoClientSendsOnceThoughAnswersGetLost(t *testing.T) {
	t.Parallel()
	s := common.shared
	a := newAccount(t, s, plan{Limit: 10})
	s.senders.take()
	t.Cleanup(s.senders.giveBack)
	wire := &lossy{t: t}
	c := client.New(client.Config{URL: s.api, HTTP: &http.Client{Transport: wire, Timeout: 40 * time.Second}, Token: func(context.Context) (string, error) { return a.token, nil }})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rules, err := c.GetCurrentRules(ctx)
	must(err)
	accept := api.AcceptRulesRequest{RulesVersion: rules.Version, Capacity: api.Capacity("self")}
	for _, d := range rules.Documents {
		accept.Documents = append(accept.Documents, api.AcceptedDocument{ID: d.ID, Version: d.Version, Sha256: d.Sha256})
	}
	_, err = c.AcceptRules(ctx, accept, "")
	must(err)
	ch, err := c.CreateChannel(ctx, api.CreateChannelRequest{ProviderID: "edna", Name: "client"}, "")
	must(err)
	t.Cleanup(func() { a.deleteChannel(ch.ID) })
	active, err := c.ActivateChannel(ctx, ch.ID, api.ActivateChannelRequest{
		RulesVersion: ch.Confirmations.RulesVersion, ProviderTermsVersion: ch.Confirmations.ProviderTermsVersion, TransferCountries: ch.Confirmations.TransferCountries,
	})
	must(err)
	s.behave(t, channel{ID: active.ID, Address: active.Address}.sender(t), nil)

	wire.lose.Store(2)
	to, reference := person(), "client-1"
	order := api.SendMessageRequest{ChannelID: &ch.ID, To: &to, Content: stored.Content{Type: stored.TypeText, Text: "Your order is ready"}, ClientReference: &reference}
	sent, err := c.SendMessage(ctx, order, "")
	must(err)
	wire.lose.Store(1)
	order.Content.Text = "Please come by until seven" // the provider takes the same text to one person as the same message
	batch, err := c.SendBatch(ctx, api.SendBatchRequest{Messages: []api.SendMessageRequest{order}}, "")
	must(err)
	if len(batch.Results) != 1 || batch.Results[0].Message == nil {
		t.Fatalf("%+v", batch)
	}
	a.until(sent.ID, 30*time.Second, "read", status("read"))
	a.until(batch.Results[0].Message.ID, 30*time.Second, "read", status("read"))
	list, err := c.ListMessages(ctx, client.ListMessagesQuery{ClientReference: reference})
	must(err)
	if len(list.Items) != 2 {
		t.Errorf("%d messages for two orders", len(list.Items))
	}
	_, err = c.GetMessage(ctx, sent.ID+"x")
	if p := new(api.Problem); !errors.As(err, &p) || p.Code != api.CodeNotFound {
		t.Errorf("a message that is not there: %v", err)
	}
}
