//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/localaws"
)

// recorder keeps what passes through it on its way to SQS: addresses and bodies, both ways.
type recorder struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *recorder) note(parts ...[]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range parts {
		r.all.Write(p)
		r.all.WriteByte('\n')
	}
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.all.Bytes())
}

// recordedSQS is SQS with a recorder in front.
func recordedSQS(t *testing.T) (string, *recorder) {
	t.Helper()
	behind, err := localaws.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(behind.URL())
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host }}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(resp *http.Response) error {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		r.note(body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.note([]byte(req.URL.String()), body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	return server.URL, r
}

// everyItem gives all that lies in all tables, as it lies there.
func (s *stack) everyItem(t *testing.T) []byte {
	t.Helper()
	db := dynamodb.New(dynamodb.Options{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), BaseEndpoint: &s.dynamodb, HTTPClient: awsclient.HTTPClient(storeTimeout)})
	names, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, name := range names.TableNames {
		pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: &name})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range page.Items {
				for attribute, value := range it {
					fmt.Fprintf(&all, "%s %s ", name, attribute)
					writeValue(&all, value)
					all.WriteByte('\n')
				}
			}
		}
	}
	return all.Bytes()
}

func writeValue(out *bytes.Buffer, v types.AttributeValue) {
	switch v := v.(type) {
	case *types.AttributeValueMemberB:
		out.Write(v.Value)
	case *types.AttributeValueMemberS:
		out.WriteString(v.Value)
	case *types.AttributeValueMemberN:
		out.WriteString(v.Value)
	case *types.AttributeValueMemberL:
		for _, e := range v.Value {
			writeValue(out, e)
			out.WriteByte(' ')
		}
	case *types.AttributeValueMemberM:
		for name, e := range v.Value {
			out.WriteString(name + "=")
			writeValue(out, e)
			out.WriteByte(' ')
		}
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
	default:
		fmt.Fprintf(out, "%v", v)
	}
}

// toldTheOperator is all that the operator can read of an account, by every route that there is.
func (s *stack) toldTheOperator(t *testing.T, v *victim) []byte {
	t.Helper()
	var all bytes.Buffer
	operator, table, read := s.operator(t), attempts(), 0
	for _, r := range routes(t) {
		if r.authorizer != "OperatorJwt" || r.method != http.MethodGet {
			continue
		}
		got := operator.call(t, r.method, table[r.method+" "+r.path].path(v), nil)
		if got.status == http.StatusOK {
			read++
		}
		all.Write(got.body)
	}
	if read < 3 {
		t.Errorf("the operator could read %d routes: nothing was tested", read)
	}
	return all.Bytes()
}

//
func TestContentAndAddressesStayOutOfLogsQueuesTablesAndErrors(t *testing.T) {
	t.Parallel()
	sqsURL, queue := recordedSQS(t)
	s := ownStack(t, []string{"AWS_ENDPOINT_URL_SQS=" + sqsURL, "LOG_LEVEL=DEBUG"}, "-parameter", "LogLevel=DEBUG")
	a, ch := ready(t, s, plan{Limit: 100})
	secret := unique("Canary")
	to := "+35799887766"
	// What must be seen nowhere, in any way of writing it down.
	canaries := []string{secret, strings.ToLower(secret), "99887766", "name-" + secret}

	var errorBodies bytes.Buffer
	refused := func(method, path string, body any, header ...string) {
		t.Helper()
		got := a.call(t, method, path, body, header...)
		if got.status < 400 {
			t.Errorf("not refused: %v", got)
		}
		errorBodies.Write(got.body)
	}

	// All goes well.
	m := a.send(order(ch, to, text("text "+secret)), "Idempotency-Key", unique("key-"))
	a.until(m.ID, 20*time.Second, "read", status("read"))
	latitude := 34.5
	a.until(a.send(order(ch, to, content{Type: "location", Latitude: &latitude, Longitude: &latitude, Address: secret})).ID, 20*time.Second, "read", status("read"))
	a.until(a.send(order(ch, to, content{Type: "template", Name: "order_shipped", Language: "en", Variables: map[string]string{"1": secret, "2": secret}})).ID, 20*time.Second, "read", status("read"))
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: "reply " + secret})
	for _, body := range []map[string]any{{"addresses": []string{to}, "name": "name-" + secret}, {"addresses": []string{secret + "@example.com"}}} {
		if got := a.call(t, http.MethodPost, "/v1/recipients", body, "Idempotency-Key", unique("key-")); got.status != http.StatusCreated {
			t.Errorf("a recipient was not recorded: %d", got.status)
		}
	}

	// It does not go well.
	failing := func(behaviour map[string]any, limit time.Duration, until func(message) bool) {
		t.Helper()
		s.behave(t, ch.sender(t), behaviour)
		m := a.send(order(ch, to, text(unique("text ")+secret)))
		wait(t, 20*time.Second, func() (bool, string) { return len(s.callsFor(t, m.ID)) > 0, "no call" })
		s.behave(t, ch.sender(t), nil)
		got := a.until(m.ID, limit, "as wanted", until)
		if got.Error != nil {
			errorBodies.WriteString(got.Error.Detail + got.Error.ProviderCode)
		}
	}
	failing(map[string]any{"fail_status": 400}, 20*time.Second, message.final)
	failing(map[string]any{"fail_status": 500}, 60*time.Second, message.final)
	failing(map[string]any{"fail_status": 429, "retry_after_seconds": 1}, 60*time.Second, message.final)
	failing(map[string]any{"drop_answer": true}, 60*time.Second, message.final)
	failing(map[string]any{"statuses": []string{"failed"}, "status_error": "error-address-unknown"}, 60*time.Second, message.final)
	s.kill(t, "dispatcher", 3*time.Millisecond)
	s.kill(t, "messages", 2*time.Millisecond)
	if _, err := a.try(http.MethodPost, "/v1/messages", order(ch, to, text("killed "+secret))); err != nil {
		t.Logf("the killed intake: %v", err)
	}
	s.spare(t)

	// Bad requests.
	raw := func(s string) []byte { return []byte(s) }
	o := order(ch, to, text(secret))
	o["surprise"] = secret
	refused(http.MethodPost, "/v1/messages", o)
	refused(http.MethodPost, "/v1/messages", order(ch, secret, text(secret)))
	refused(http.MethodPost, "/v1/messages", order(ch, to+"x", text(secret)))
	refused(http.MethodPost, "/v1/messages", order(ch, "99887766", text(secret)))
	refused(http.MethodPost, "/v1/messages", raw(`{"channel_id":"`+ch.ID+`","to":"`+to+`","content":{"type":"text","text":"`+secret+`"`))
	refused(http.MethodPost, "/v1/messages", raw(`{"channel_id":"`+ch.ID+`","to":"`+to+`","content":"`+secret+`"}`))
	refused(http.MethodPost, "/v1/messages", raw(`{"channel_id":"`+ch.ID+`","to":"`+to+`","content":{"type":"`+secret+`"}}`))
	refused(http.MethodPost, "/v1/messages", raw(`{"channel_id":"`+ch.ID+`","to":"`+to+`","content":{"type":"text","text":"`+secret+"\xff"+`"}}`))
	refused(http.MethodPost, "/v1/messages", order(ch, to, text(secret), "on_limit", secret))
	refused(http.MethodPost, "/v1/messages", order(ch, to, text(secret), "expires_at", secret))
	refused(http.MethodPost, "/v1/messages", order(channel{ID: secret}, to, text(secret)))
	refused(http.MethodPost, "/v1/messages", order(ch, to, text(secret+longText(5000))))
	refused(http.MethodPost, "/v1/messages", map[string]any{"conversation_id": secret, "content": text(secret)})
	refused(http.MethodPost, "/v1/channels", map[string]any{"provider_id": "edna", "name": "x", "credentials": map[string]string{"api_key": secret}, "type": secret})
	refused(http.MethodPost, "/v1/messages", order(ch, to, content{Type: "template", Name: "x", Variables: map[string]string{"a": secret}}), "Content-Type", "text/plain")

	// What a provider sends and nobody understands.
	callback := s.api + "/v1/callbacks/edna/" + ch.ID
	proof := http.Header{"Content-Type": {"application/json"}, "Authorization": {"local-edna-webhook-key"}}
	for _, body := range []string{
		`{"` + secret, `{"x":"` + secret + `"}`, `[{"id":1,"subscriber":{"identifier":"35799887766"},"messageContent":"` + secret + `"}]`,
		`{"id":5,"subject":"s","subjectId":` + itoa(ch.sender(t)) + `,"subscriber":{"id":1,"identifier":"35799887766"},"messageContent":{"type":"ORDER","text":"` + secret + `"},"receivedAt":"2026-11-24T10:00:00Z"}`,
		`{"requestId":"` + secret + `","status":"DELIVERED","statusAt":"x"}`, `{"requestId":"` + m.ID + `","status":"` + secret + `","error":"` + secret + `","statusAt":"2026-11-24T10:00:00Z","subjectId":` + itoa(ch.sender(t)) + `}`,
	} {
		errorBodies.Write(s.raw(t, http.MethodPost, callback, proof, raw(body)).body)
		errorBodies.Write(s.raw(t, http.MethodPost, callback, http.Header{"Authorization": {secret}}, raw(body)).body)
	}

	// The token and the keys are secrets too.
	// Longer than the queue keeps a reference out of sight: the death that waits for a dispatcher may have met this one.
	a.until(a.send(order(ch, person(), text(unique("the last ")))).ID, 90*time.Second, "read", status("read"))
	told := s.toldTheOperator(t, &victim{account: a, channel: ch, sent: m, waiting: m})
	tables := s.everyItem(t)
	if !bytes.Contains(tables, []byte(m.ID[len("msg_"):len("msg_")+16])) {
		t.Error("the tables do not hold the message: nothing was tested")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	canaries = append(canaries, a.token, "local-edna-key", "local-edna-webhook-key")
	output := s.output.Bytes()
	if !bytes.Contains(output, []byte(m.ID)) {
		t.Error("the logs do not mention the message at all: nothing was tested")
	}
	if !bytes.Contains(queue.bytes(), []byte(m.ID)) {
		t.Error("the queue did not carry the message's id: nothing was tested")
	}
	for place, b := range map[string][]byte{"the stack's output": output, "the queue": queue.bytes(), "errors": errorBodies.Bytes(), "the tables": tables, "what the operator reads": told} {
		for _, canary := range canaries {
			if at := bytes.Index(b, []byte(canary)); at >= 0 {
				t.Errorf("%q is in %s: …%s…", canary, place, b[max(0, at-300):min(len(b), at+100)])
			}
		}
	}
	t.Log(fmt.Sprintf("%d bytes of logs, %d of queue traffic, %d of errors, %d of items", len(output), len(queue.bytes()), errorBodies.Len(), len(tables)))
}
