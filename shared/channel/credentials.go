package channel

import (
	"encoding/json"
	"errors"
	"fmt"

	"contactcenter/shared/provider"
)

// Sealer seals credentials: a *seal.Sealer of the group seal.Credentials does.
type Sealer interface {
	Seal(accountID, purpose string, plain []byte) ([]byte, error)
}

// Opener opens them: a *seal.Opener of the group seal.Credentials does.
type Opener interface {
	Open(accountID, purpose string, sealed []byte) ([]byte, error)
}

// purpose binds credentials to their channel.
func purpose(channelID string) string { return "channel " + channelID }

// SealCredentials makes of an account's credentials what is kept in its channel.
func SealCredentials(s Sealer, accountID, channelID string, credentials map[string]string) ([]byte, error) {
	plain, err := json.Marshal(credentials)
	if err != nil {
		return nil, fmt.Errorf("encode credentials of channel %s: %w", channelID, err)
	}
	sealed, err := s.Seal(accountID, purpose(channelID), plain)
	if err != nil {
		return nil, fmt.Errorf("seal credentials of channel %s: %w", channelID, err)
	}
	return sealed, nil
}

// WithCredentials is ForProvider with the account's credentials, which are opened for this one call. The opener may be nil
// for a channel that has none.
func (c Channel) WithCredentials(o Opener) (provider.Channel, error) {
	p := c.ForProvider()
	if len(c.SealedCredentials) == 0 {
		return p, nil
	}
	if o == nil {
		return p, errors.New("this function can't open credentials")
	}
	plain, err := o.Open(c.AccountID, purpose(c.ID), c.SealedCredentials)
	if err != nil {
		return p, fmt.Errorf("open credentials of channel %s: %w", c.ID, err)
	}
	if err := json.Unmarshal(plain, &p.Credentials); err != nil {
		return p, fmt.Errorf("open credentials of channel %s: they can't be read", c.ID) // the cause would quote them
	}
	return p, nil
}
