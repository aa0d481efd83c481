field() { grep -o "\"$1\": *\"[^\"]*\"" | head -n 1 | sed 's/.*: *"\(.*\)"/\1/'; }
list() { sed -n "s/.*\"$1\": *\(\[[^]]*\]\).*/\1/p"; }

# A token of a CRM user. In production it comes from the CRM's identity provider.
TOKEN=$(curl -sS "$API/dev/token" -d '{"account_id":"acct_demo","sub":"user_1","scope":"messages:read messages:write channels:read channels:write channels:activate account:read account:write"}' | field access_token)
call() { METHOD=$1 TO=$2; shift 2; curl -sS -X "$METHOD" "$API$TO" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }

# Accept the Rules that are in force.
RULES=$(call GET /v1/rules/current | tr -d '\n')
VERSION=$(printf %s "$RULES" | sed 's/"documents": *\[[^]]*\]//' | field version)
DOCUMENTS=$(printf %s "$RULES" | list documents | sed 's/"url": *"[^"]*" *,* *//g; s/, *}/}/g')
call POST /v1/rules/acceptances -d "{\"rules_version\":\"$VERSION\",\"documents\":$DOCUMENTS,\"capacity\":\"self\"}"; echo

# Create a channel, then activate it: what it means is confirmed, by a user and nobody else.
CHANNEL=$(call POST /v1/channels -d '{"provider_id":"edna","name":"First channel"}' | field id)
PROVIDER=$(call GET /v1/providers/edna | tr -d '\n')
TERMS=$(printf %s "$PROVIDER" | field terms_version)
COUNTRIES=$(printf %s "$PROVIDER" | list transfer_countries)
call POST "/v1/channels/$CHANNEL/activate" -d "{\"rules_version\":\"$VERSION\",\"provider_terms_version\":\"$TERMS\",\"transfer_countries\":$COUNTRIES}"; echo

# Send a message, and read it until it is delivered.
MESSAGE=$(call POST /v1/messages -d "{\"channel_id\":\"$CHANNEL\",\"to\":\"+35799123456\",\"content\":{\"type\":\"text\",\"text\":\"Your order is ready\"}}" | field id)
for i in 1 2 3 4 5 6 7 8 9 10; do
  STATUS=$(call GET "/v1/messages/$MESSAGE" | field status); echo "$MESSAGE $STATUS"
  case $STATUS in delivered|read|failed|rejected) break;; esac; sleep 1
done
