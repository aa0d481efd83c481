package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// callTimeout bounds every call. It is long because a flood on a small machine is slow.
const callTimeout = 30 * time.Second

// stack is a running local stack, seen from outside.
type stack struct {
	api, sim, aws string
	http          *http.Client
}

func newStack(o options) *stack {
	transport := &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 500, IdleConnTimeout: time.Minute}
	return &stack{
		api: "http://" + o.api, sim: "http://" + o.sim + "/edna", aws: "http://" + o.aws,
		http: &http.Client{Timeout: callTimeout, Transport: transport},
	}
}

// answers finds out whether the API is ready and the simulator is there.
func (s *stack) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, url := range []string{s.api + "/healthz", s.sim + "/_sim/behaviour"} {
		got, err := s.do(ctx, http.MethodGet, url, "", nil)
		if err != nil {
			return err
		}
		if got.status != http.StatusOK {
			return fmt.Errorf("%s answers %d", url, got.status)
		}
	}
	return nil
}

// answer is the answer to one call.
type answer struct {
	what   string
	status int
	body   []byte
}

// problem is an error as the API tells it, or the gateway in front of it.
type problem struct {
	Code    string `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

func (a answer) problem() problem {
	var p problem
	_ = json.Unmarshal(a.body, &p) // without one, all is empty
	return p
}

// unexpected is the error for an answer that should have been another. It tells codes and titles only: bodies may have content.
func (a answer) unexpected() error {
	p := a.problem()
	if p.Code == "sender_unavailable" {
		return errors.New("all senders of the stack are taken: delete channels, or start the stack anew")
	}
	return fmt.Errorf("%s answers %d %s%s", a.what, a.status, p.Code, p.Message)
}

func (a answer) into(status int, v any) error {
	if a.status != status {
		return a.unexpected()
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", a.what, err)
	}
	return nil
}

func (s *stack) do(ctx context.Context, method, url, token string, body any) (answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, fmt.Errorf("write a request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return answer{}, fmt.Errorf("write a request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got := answer{what: method + " " + req.URL.Path, status: resp.StatusCode}
	if got.body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20)); err != nil {
		return answer{}, fmt.Errorf("read the answer of %s: %w", got.what, err)
	}
	return got, nil
}

// get reads what is at a URL of the stack's own, beside the API.
func (s *stack) get(ctx context.Context, url string, v any) error {
	got, err := s.do(ctx, http.MethodGet, url, "", nil)
	if err != nil {
		return err
	}
	return got.into(http.StatusOK, v)
}

// caller calls the API with one token.
type caller struct {
	stack *stack
	token string
}

const userScopes = "messages:read messages:write channels:read channels:write channels:activate account:read account:write"

// user is a user of an account; its identity provider is the stack itself.
func (s *stack) user(ctx context.Context, accountID, scope string) (caller, error) {
	return s.caller(ctx, map[string]string{"account_id": accountID, "sub": "user_demo", "scope": scope})
}

func (s *stack) operator(ctx context.Context) (caller, error) {
	return s.caller(ctx, map[string]string{"sub": "operator_demo", "scope": "operator"})
}

func (s *stack) caller(ctx context.Context, claims map[string]string) (caller, error) {
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	got, err := s.do(ctx, http.MethodPost, s.api+"/dev/token", "", claims)
	if err == nil {
		err = got.into(http.StatusOK, &issued)
	}
	if err != nil {
		return caller{}, fmt.Errorf("get a token: %w", err)
	}
	return caller{s, issued.AccessToken}, nil
}

func (c caller) do(ctx context.Context, method, path string, body any) (answer, error) {
	return c.stack.do(ctx, method, c.stack.api+path, c.token, body)
}

// call makes a call that has to get a status, and reads what it answers into v, if v is not nil.
func (c caller) call(ctx context.Context, method, path string, body any, status int, v any) error {
	got, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	return got.into(status, v)
}

// functionState is what the stack tells of a function.
type functionState struct {
	Folder      string `json:"folder"`
	Busy        int    `json:"busy"`
	Invocations int    `json:"invocations"`
}

// functions are the states by folder.
func (s *stack) functions(ctx context.Context) (map[string]functionState, error) {
	var told struct {
		Items []functionState `json:"items"`
	}
	if err := s.get(ctx, s.api+"/dev/functions", &told); err != nil {
		return nil, err
	}
	out := map[string]functionState{}
	for _, f := range told.Items {
		out[f.Folder] = f
	}
	return out, nil
}

// kill ends the processes of a function that have an event in hand, as a machine that fails does.
func (s *stack) kill(ctx context.Context, function string) (int, error) {
	var told struct {
		Killed int `json:"killed"`
	}
	got, err := s.do(ctx, http.MethodPost, s.api+"/dev/kill", "", map[string]any{"function": function})
	if err != nil {
		return 0, err
	}
	err = got.into(http.StatusOK, &told)
	return told.Killed, err
}
