package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"contactcenter/shared/telemetry/telemetrytest"
)

const fixture = "testdata/app/template.yaml"

// bring brings the fixture's stack up on free ports.
func bring(t *testing.T, change func(*options)) (*stack, *telemetrytest.Log) {
	t.Helper()
	o := options{template: fixture, api: "127.0.0.1:0", sim: "127.0.0.1:0", aws: "127.0.0.1:0"}
	if change != nil {
		change(&o)
	}
	log := new(telemetrytest.Log)
	s, err := start(t.Context(), o, io.Discard, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log
}

func ask(t *testing.T, method, url, bearer, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	told, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(told)
}

func TestTheStackServesItsTemplate(t *testing.T) {
	t.Parallel()
	s, log := bring(t, func(o *options) { o.parameters = parameters{"Greeting": "good day"} })
	issue := func(t *testing.T, body string) string {
		t.Helper()
		resp, told := ask(t, "POST", s.apiURL()+"/dev/token", "", body)
		var out struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(told), &out); err != nil || resp.StatusCode != 200 {
			t.Fatalf("no token: %d %s", resp.StatusCode, told)
		}
		return out.AccessToken
	}

	t.Run("it is healthy", func(t *testing.T) {
		t.Parallel()
		if resp, told := ask(t, "GET", s.apiURL()+"/healthz", "", ""); resp.StatusCode != 200 || told != "{\"status\":\"ready\"}\n" {
			t.Errorf("it says %d %s", resp.StatusCode, told)
		}
	})
	t.Run("functions find their environment", func(t *testing.T) {
		t.Parallel()
		_, told := ask(t, "GET", s.apiURL()+"/public/a", "", "")
		for _, part := range []string{`"greeting":"good day"`, `"table":"Table"`, `"queue":"http`, `/WorkQueue"`, `"base":"` + s.apiURL() + `"`, `"secret":64`} {
			if !strings.Contains(told, part) {
				t.Errorf("%s has no %s", told, part)
			}
		}
	})
	t.Run("a function that crashes is answered for", func(t *testing.T) {
		t.Parallel()
		if resp, told := ask(t, "GET", s.apiURL()+"/public/crash", "", ""); resp.StatusCode != 500 || told != `{"message":"Internal Server Error"}` {
			t.Errorf("the caller gets %d %s", resp.StatusCode, told)
		}
	})

	tokens := map[string]struct {
		request, method, path string
		status                int
	}{
		"a customer":                        {`{"account_id":"a","sub":"u","scope":"x things:read"}`, "GET", "/things/1", 200},
		"a customer without the scope":      {`{"account_id":"a","sub":"u","scope":"x"}`, "GET", "/things/1", 403},
		"a customer too late":               {`{"account_id":"a","sub":"u","scope":"things:read","ttl_seconds":-5}`, "GET", "/things/1", 401},
		"a token for another audience":      {`{"account_id":"a","sub":"u","scope":"things:read","audience":"other"}`, "GET", "/things/1", 401},
		"an operator":                       {`{"sub":"o","scope":"operator"}`, "PUT", "/v1/operator/accounts/a", 200},
		"an operator on a customer's route": {`{"sub":"o","scope":"operator"}`, "GET", "/things/1", 401},
		"a customer on an operator's route": {`{"account_id":"a","sub":"u","scope":"operator"}`, "PUT", "/v1/operator/accounts/a", 401},
	}
	for name, c := range tokens {
		t.Run("token of "+name, func(t *testing.T) {
			t.Parallel()
			if resp, told := ask(t, c.method, s.apiURL()+c.path, issue(t, c.request), ""); resp.StatusCode != c.status {
				t.Errorf("the caller gets %d %s, want %d", resp.StatusCode, told, c.status)
			}
		})
	}
	for name, body := range map[string]string{"no JSON": "x", "no subject": `{"scope":"a"}`, "no scope": `{"sub":"a"}`, "an unknown field": `{"sub":"a","scope":"b","x":1}`} {
		t.Run("a token is refused for "+name, func(t *testing.T) {
			t.Parallel()
			if resp, told := ask(t, "POST", s.apiURL()+"/dev/token", "", body); resp.StatusCode != 400 || !strings.Contains(told, `{"message":"`) {
				t.Errorf("the caller gets %d %s", resp.StatusCode, told)
			}
		})
	}

	t.Run("messages that fail or crash the function come again", func(t *testing.T) {
		t.Parallel()
		tag := rand.Text()
		for _, body := range []string{"ok-" + tag, "fail-" + tag, "crash-" + tag} {
			if _, err := s.stores.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(queueURL(t, s)), MessageBody: &body}); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{`{"function":"worker","body":"ok-` + tag + `","receives":"`, `"body":"fail-` + tag + `","receives":"2"`, `"body":"crash-` + tag + `","receives":"2"`} {
			log.Await(t, 1, want)
		}
	})

	invocations := map[string]struct {
		function, event string
		status          int
		failure, want   string
	}{
		"by logical id":       {"EchoFunction", `{"rawPath":"/public/x"}`, 200, "", `"statusCode":200`},
		"by folder":           {"echo", `{}`, 200, "", `"statusCode":200`},
		"that fails":          {"EchoFunction", `{"rawPath":"/public/error"}`, 200, "Unhandled", `"errorMessage":"as told"`},
		"of nothing":          {"Nothing", `{}`, 404, "", `Function not found`},
		"with a broken event": {"EchoFunction", `{`, 400, "", `Could not parse`},
	}
	for name, c := range invocations {
		t.Run("an invocation "+name, func(t *testing.T) {
			t.Parallel()
			resp, told := ask(t, "POST", s.apiURL()+"/2015-03-31/functions/"+c.function+"/invocations", "", c.event)
			if resp.StatusCode != c.status || resp.Header.Get("X-Amz-Function-Error") != c.failure || !strings.Contains(told, c.want) {
				t.Errorf("the caller gets %d %q %s", resp.StatusCode, resp.Header.Get("X-Amz-Function-Error"), told)
			}
		})
	}
	t.Run("the invoke command uses the stack that runs", func(t *testing.T) {
		t.Parallel()
		var out, errs bytes.Buffer
		code := realMain(t.Context(), []string{"invoke", "EchoFunction", "-e", "-", "-api", s.apiAddress}, strings.NewReader(`{"rawPath":"/public/x"}`), &out, &errs)
		if code != 0 || !strings.Contains(out.String(), "good day") || errs.Len() > 0 {
			t.Errorf("it ends with %d, %s, %s", code, out.String(), errs.String())
		}
	})
}

func queueURL(t *testing.T, s *stack) string {
	t.Helper()
	out, err := s.stores.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("WorkQueue")})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.QueueUrl)
}

func TestFunctionsCanBeKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s, log := bring(t, nil)
	answers := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.apiURL() + "/public/wait")
		if err != nil {
			answers <- err.Error()
			return
		}
		defer resp.Body.Close()
		answers <- resp.Status
	}()
	log.Await(t, 1, `"msg":"waiting"`)
	if _, told := ask(t, "POST", s.apiURL()+"/dev/kill", "", `{"function":"echo"}`); told != `{"armed":false,"killed":1}`+"\n" {
		t.Errorf("it says %s", told)
	}
	if answer := <-answers; answer != "500 Internal Server Error" {
		t.Errorf("the caller gets %s", answer)
	}
	if _, told := ask(t, "POST", s.apiURL()+"/dev/kill", "", `{"function":"EchoFunction"}`); told != `{"armed":true,"killed":0}`+"\n" {
		t.Errorf("it says %s", told)
	}
	for _, want := range []int{500, 200} {
		if resp, _ := ask(t, "GET", s.apiURL()+"/public/a", "", ""); resp.StatusCode != want {
			t.Errorf("the caller gets %d, want %d", resp.StatusCode, want)
		}
	}
	if _, told := ask(t, "GET", s.apiURL()+"/dev/functions", "", ""); !strings.Contains(told, `"killed":2`) {
		t.Errorf("it says %s", told)
	}
	ask(t, "POST", s.apiURL()+"/dev/kill", "", `{"function":"echo"}`)
	if _, told := ask(t, "DELETE", s.apiURL()+"/dev/kill", "", ""); told != `{"spared":1}`+"\n" {
		t.Errorf("it says %s", told)
	}
	if resp, _ := ask(t, "GET", s.apiURL()+"/public/a", "", ""); resp.StatusCode != 200 {
		t.Errorf("the caller gets %d", resp.StatusCode)
	}
	if resp, told := ask(t, "POST", s.apiURL()+"/dev/kill", "", `{"function":"nothing"}`); resp.StatusCode != 400 {
		t.Errorf("it says %d %s", resp.StatusCode, told)
	}
}

func TestTheStackEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out, errs := new(telemetrytest.Log), new(telemetrytest.Log)
	ended := make(chan int, 1)
	go func() {
		ended <- realMain(ctx, []string{"-template", fixture, "-api", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-aws", "127.0.0.1:0"}, nil, out, errs)
	}()
	out.Await(t, 1, "ready: API http://127.0.0.1:")
	out.Await(t, 1, "Ctrl-C stops everything")
	_, rest, _ := strings.Cut(out.String(), "ready: API http://")
	address, _, _ := strings.Cut(rest, ",")
	ask(t, "GET", "http://"+address+"/public/a", "", "")
	interrupt()
	if code := <-ended; code != 0 || errs.String() != "" {
		t.Errorf("it ended with %d and said %s", code, errs.String())
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	listener.Close()
}

func TestWhatKeepsTheStackFromStartingIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	address := taken.Addr().String()
	broken := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(broken, []byte("Resources: {F: {Type: AWS::Serverless::Function, Properties: {Events: {E: {Type: Kafka}}}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := []string{"-template", fixture, "-api", "127.0.0.1:0", "-sim", "127.0.0.1:0", "-aws", "127.0.0.1:0"}
	with := func(args ...string) []string { return append(append([]string{}, free...), args...) }
	cases := map[string]struct {
		args []string
		code int
		want string
	}{
		"the API's port is in use":       {with("-api", address), 1, address + " is in use: stop what listens there (perhaps another local stack), or take another address with -api"},
		"the simulators' port is in use": {with("-sim", address), 1, "take another address with -sim"},
		"the engines' port is in use":    {with("-aws", address), 1, "take another address with -aws"},
		"an unknown event source":        {with("-template", broken), 1, `event source type "Kafka" is not known here`},
		"an unknown parameter":           {with("-parameter", "Nope=1"), 1, `the template has no parameter "Nope"`},
		"no template":                    {with("-template", "nothing.yaml"), 1, "read the template"},
		"an unknown command":             {[]string{"run"}, 2, `unexpected "run"`},
		"an unknown flag":                {[]string{"-nope"}, 2, "wrong command line"},
		"an invocation of nothing":       {[]string{"invoke"}, 2, "invoke LogicalId -e FILE"},
		"an event that is not there":     {[]string{"invoke", "EchoFunction", "-e", "nothing.json"}, 1, "read the event"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "the engines' port is in use" && os.Getenv("AWS_ENDPOINT_URL_SQS") != "" && os.Getenv("AWS_ENDPOINT_URL_DYNAMODB") != "" {
				return // no engines are started then
			}
			var out, errs bytes.Buffer
			code := realMain(t.Context(), c.args, strings.NewReader(""), &out, &errs)
			lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
			if last := lines[len(lines)-1]; code != c.code || !strings.HasPrefix(last, "local: ") || !strings.Contains(last, c.want) {
				t.Errorf("it ended with %d and said %q, want %d and %q", code, errs.String(), c.code, c.want)
			}
		})
	}
}

func TestAFunctionIsInvokedWithoutAStack(t *testing.T) {
	t.Parallel()
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"rawPath":"/public/error"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	// Nothing listens on port 1.
	alone := []string{"-template", fixture, "-api", "127.0.0.1:1"}
	cases := map[string]struct {
		args []string
		code int
		want string
	}{
		"that answers": {[]string{"invoke", "EchoFunction"}, 0, `"statusCode":200`},
		"that fails":   {[]string{"invoke", "EchoFunction", "-e", event}, 1, `"errorMessage":"as told"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			code := realMain(t.Context(), append(c.args, alone...), nil, &out, &errs)
			if code != c.code || !strings.Contains(out.String(), c.want) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("it ended with %d, printed %q and said %q", code, out.String(), errs.String())
			}
		})
	}
}

func TestTheSeedIsInOrder(t *testing.T) {
	t.Parallel()
	var seeds []seed
	if err := json.Unmarshal(seedFile, &seeds); err != nil {
		t.Fatal(err)
	}
	for i, s := range seeds {
		if s.Method == "" || !strings.HasPrefix(s.Path, "/v1/operator/") || !json.Valid(s.Body) {
			t.Errorf("seed %d is %s %s", i, s.Method, s.Path)
		}
	}
	if len(seeds) == 0 {
		t.Error("there is none")
	}
}
