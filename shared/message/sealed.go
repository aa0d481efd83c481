package message

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/id"
)

// Sealer seals what an account keeps: a *seal.Sealer of the group seal.Content does.
type Sealer interface {
	Seal(accountID, purpose string, plain []byte) ([]byte, error)
}

// Opener opens what was sealed: a *seal.Opener of the group seal.Content does. Few functions have one.
type Opener interface {
	Open(accountID, purpose string, sealed []byte) ([]byte, error)
}

var (
	errNoSealer = errors.New("this store can't record messages: it has no sealer")
	errNoOpener = errors.New("this store can't show addresses and content: it has no opener")
)

// What is sealed is bound to its message, besides the account.
const (
	statePurpose = "message "
	longPurpose  = "content "
)

func sealed(s Sealer, m Message, purpose string, plain []byte) (types.AttributeValue, error) {
	b, err := s.Seal(m.AccountID, purpose+m.ID.String(), plain)
	if err != nil {
		return nil, fmt.Errorf("seal message %s: %w", m.ID, err)
	}
	return binv(b), nil
}

func blob(it item) []byte {
	if b, ok := it[attrSealed].(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// packAddress begins a state's sealed value; short content follows as JSON.
func packAddress(address string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(address))), address...)
}

// Open gives a message its address and content, if it has not got them yet: a further request when the content is long.
// A message of Standings or HeldStandings has nothing to open, and stays as it is; so does one whose recipient was
// erased. Errors wrap those of package seal, and ErrNotFound when long content is gone.
func (s *Store) Open(ctx context.Context, m *Message) error {
	rest, err := s.openState(m)
	if err != nil || rest == nil {
		return err
	}
	if m.External {
		if rest, err = s.longContent(ctx, *m); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(rest, &m.Content); err != nil {
		return errUnreadable(m.ID) // the cause would quote what it read
	}
	m.sealed = nil
	return nil
}

// openState gives a message its address, and the JSON of short content; nil when there was nothing to open.
func (s *Store) openState(m *Message) ([]byte, error) {
	if m.sealed == nil {
		return nil, nil
	}
	if s.Opener == nil {
		return nil, errNoOpener
	}
	plain, err := s.Opener.Open(m.AccountID, statePurpose+m.ID.String(), m.sealed)
	if err != nil {
		return nil, fmt.Errorf("open message %s: %w", m.ID, err)
	}
	n, used := binary.Uvarint(plain)
	if used <= 0 || n > uint64(len(plain)-used) {
		return nil, errUnreadable(m.ID)
	}
	end := used + int(n)
	m.Address = string(plain[used:end])
	return plain[end:], nil
}

func (s *Store) longContent(ctx context.Context, m Message) ([]byte, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: key(m.AccountID, m.ID, contentPrefix), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("get content: %w", err)
	}
	if blob(out.Item) == nil {
		return nil, fmt.Errorf("get content of message %s: %w", m.ID, ErrNotFound)
	}
	plain, err := s.Opener.Open(m.AccountID, longPurpose+m.ID.String(), blob(out.Item))
	if err != nil {
		return nil, fmt.Errorf("open content of message %s: %w", m.ID, err)
	}
	return plain, nil
}

func errUnreadable(m id.Message) error {
	return fmt.Errorf("open message %s: what was sealed can't be read", m)
}
