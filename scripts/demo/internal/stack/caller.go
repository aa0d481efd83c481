package stack

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"contactcenter/shared/client"
)

// UserScopes are all that a user of an account may have.
const UserScopes = "messages:read messages:write channels:read channels:write channels:activate account:read account:write"

// renewal is when a token is asked for anew: the stack's hold for an hour.
const renewal = 40 * time.Minute

// Caller calls the API as one person, with a token that is renewed in time. It is safe for concurrent use.
type Caller struct {
	Stack  *Stack
	claims map[string]string

	mu    sync.Mutex
	token string
	since time.Time
}

// User is a user of an account, by the sub of the token; the identity provider is the stack itself.
func (s *Stack) User(accountID, sub, scope string) *Caller {
	return &Caller{Stack: s, claims: map[string]string{"account_id": accountID, "sub": sub, "scope": scope}}
}

// Operator is somebody of the operator's.
func (s *Stack) Operator() *Caller {
	return &Caller{Stack: s, claims: map[string]string{"sub": "operator_demo", "scope": "operator"}}
}

// Token gives the caller's token.
func (c *Caller) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && time.Since(c.since) < renewal {
		return c.token, nil
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := c.Stack.Call(ctx, http.MethodPost, c.Stack.API+"/dev/token", c.claims, http.StatusOK, &issued); err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	c.token, c.since = issued.AccessToken, time.Now()
	return c.token, nil
}

// Client is the API's Go client, which calls as this caller.
func (c *Caller) Client() *client.Client {
	return client.New(client.Config{URL: c.Stack.API, Token: c.Token, HTTP: c.Stack.http})
}

// Do makes one call, and gives whatever is answered.
func (c *Caller) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	token, err := c.Token(ctx)
	if err != nil {
		return Answer{}, err
	}
	return c.Stack.Do(ctx, method, c.Stack.API+path, token, body)
}

// Call makes a call that has to get a status, and reads what it answers into v, if v is not nil.
func (c *Caller) Call(ctx context.Context, method, path string, body any, status int, v any) error {
	got, err := c.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	return got.into(status, v)
}
