package main

import (
	"context"
	"net/http"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/attr"
	"contactcenter/shared/awsclient"
	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/idempotency"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/queue"
	"contactcenter/shared/recipient"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

const (
	// stepsTimeout ends the acceptance of a message, some time before message.IntakeTime is over.
	stepsTimeout = 8 * time.Second
	// closingTimeout bounds what must be finished although the caller has gone.
	closingTimeout = 3 * time.Second
	// readTimeout bounds a read.
	readTimeout = 8 * time.Second
)

// Rules says whether an account may use the Contact Center.
type Rules interface {
	Current(ctx context.Context) (rules.Version, error)
	Agreement(ctx context.Context, accountID string, v rules.Version) (rules.Agreement, error)
	AcceptByUse(ctx context.Context, v rules.Version, earlier rules.Acceptance, u rules.Use) error
}

// Accounts gives the limits and restrictions that hold for an account.
type Accounts interface {
	Standing(ctx context.Context, accountID string, fresh bool) (account.Standing, error)
}

// Channels gives channels. Peek may miss a change of the last moment, Lookup knows deleted channels too, which List leaves out.
type Channels interface {
	Peek(ctx context.Context, channelID string) (channel.Channel, error)
	Get(ctx context.Context, channelID string) (channel.Channel, error)
	Lookup(ctx context.Context, channelID string) (channel.Channel, error)
	// Ever gives every channel that an account has or had.
	Ever(ctx context.Context, accountID string) ([]channel.Channel, error)
	// At says where a channel lies, Found reads what was found there.
	At(channelID string) awsclient.Key
	Found(it attr.Item) (channel.Channel, error)
}

// Health tells how well providers and channels work, a few seconds old.
type Health interface {
	States(ctx context.Context, of ...health.Subject) (map[health.Subject]health.Report, error)
}

// Providers gives entries of the registry, at most 5 s old by Get and as they are by Read, and what one said at a version.
type Providers interface {
	api.ProviderVersions
	Get(ctx context.Context, providerID string) (registry.Entry, error)
	Read(ctx context.Context, providerID string) (registry.Entry, error)
}

// Queue makes messages known to the dispatcher.
type Queue interface {
	Send(ctx context.Context, accountID string, m id.Message) error
	SendLater(ctx context.Context, accountID string, m id.Message, delay time.Duration) error
	SendBatch(ctx context.Context, accountID string, list []queue.Delayed) (failed []id.Message, err error)
}

// Events makes what happened known to those who asked for it.
type Events interface {
	Publish(ctx context.Context, list ...event.Event) error
}

// Recipients gives conversations their recipients: Of finds those that are there, Ensure makes one for an address that the
// account has a conversation with, Get gives one with its addresses.
type Recipients interface {
	Of(ctx context.Context, accountID string, addresses ...string) (map[string]string, error)
	Ensure(ctx context.Context, accountID, address string) (string, error)
	Get(ctx context.Context, accountID, recipientID string) (recipient.Recipient, error)
}

// OptOuts tells which conversations are closed because their recipient opted out.
type OptOuts interface {
	OptedOut(ctx context.Context, accountID string, consistent bool, conversations ...string) (map[string]bool, error)
	// At says where there is an item if the recipient of a conversation opted out.
	At(accountID, conversation string) awsclient.Key
}

// Handler answers the routes of messages and conversations.
type Handler struct {
	// DB reads what lies in several tables with one request.
	DB         awsclient.BatchGetter
	Messages   *message.Store
	Gates      *usage.Store
	Keys       *idempotency.Store
	Queue      Queue
	Rules      Rules
	Accounts   Accounts
	Channels   Channels
	Providers  Providers
	Health     Health
	Recipients Recipients
	OptOuts    OptOuts
	Events     Events
	// Capabilities are what each provider's adapter can carry, by provider.
	Capabilities map[string]provider.Capabilities

	IDs           id.Source
	Conversations id.ConversationKeyer
	Now           func() time.Time
	// Wait waits, unless the context ends.
	Wait   func(context.Context, time.Duration) error
	Random func() uint32
}

var _ api.MessagesServer = (*Handler)(nil)

// reading gives the context of a read.
func reading(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), readTimeout)
}
