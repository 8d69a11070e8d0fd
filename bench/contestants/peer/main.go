// Go: net/http and amqp091 with confirms matched by number, returns by message id. With LEAST it checks the signature
// and publishes, and does nothing else.
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	amqp "github.com/rabbitmq/amqp091-go"
)

const prefix = "/webhooks/clickup/"

var (
	buckets   = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
	requests  = promauto.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"outcome", "status"})
	seconds   = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "request_seconds", Buckets: buckets}, []string{"outcome"})
	stored    = promauto.NewCounterVec(prometheus.CounterOpts{Name: "stored_total"}, []string{"by"})
	published = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "publish_seconds", Buckets: buckets}, []string{"to", "outcome"})
	trace     = regexp.MustCompile("^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
	lines     = log.New(os.Stderr, "", 0)
	events    = map[string][2]string{}
)

// said is what of a delivery's body its envelope needs.
type said struct {
	Event       string            `json:"event"`
	TaskID      string            `json:"task_id"`
	ListID      string            `json:"list_id"`
	FolderID    string            `json:"folder_id"`
	SpaceID     string            `json:"space_id"`
	GoalID      string            `json:"goal_id"`
	KeyResultID string            `json:"key_result_id"`
	History     []json.RawMessage `json:"history_items"`
}

func (s *said) id(entity string) string {
	switch entity {
	case "task":
		return s.TaskID
	case "list":
		return s.ListID
	case "folder":
		return s.FolderID
	case "space":
		return s.SpaceID
	case "goal":
		return s.GoalID
	}
	return s.KeyResultID
}

// line is one delivery in the log.
type line struct {
	Event         string  `json:"event"`
	Level         string  `json:"level"`
	Timestamp     string  `json:"timestamp"`
	Status        int     `json:"status"`
	Milliseconds  float64 `json:"milliseconds"`
	Bytes         int     `json:"bytes"`
	Outcome       string  `json:"outcome"`
	IntegrationID string  `json:"integration_id"`
	EventID       string  `json:"event_id"`
	Type          string  `json:"type"`
	Traceparent   string  `json:"traceparent"`
	StoredBy      string  `json:"stored_by"`
}

type envelope struct {
	id, kind, traceparent string
	headers               amqp.Table
}

func random(octets []byte) {
	if _, err := rand.Read(octets); err != nil {
		log.Fatal(err)
	}
}

func wrap(integration uuid.UUID, body []byte, traceparent string) envelope {
	kind, subject, distinct := "clickup.unrecognized", "", true
	var told said
	if err := json.Unmarshal(body, &told); err == nil {
		if names, known := events[told.Event]; known {
			if id := told.id(names[0]); id != "" {
				kind, subject = "clickup."+names[0]+"."+names[1], names[0]+"/"+id
				distinct = len(told.History) > 0
			}
		}
	}
	var id uuid.UUID
	if distinct {
		hash, length := sha256.New(), make([]byte, 8)
		for _, part := range [][]byte{integration.Bytes(), body} {
			binary.BigEndian.PutUint64(length, uint64(len(part)))
			hash.Write(length)
			hash.Write(part)
		}
		copy(id[:], hash.Sum(nil))
	} else {
		random(id[:])
	}
	id.SetVersion(8)
	id.SetVariant(uuid.VariantRFC4122)
	if !trace.MatchString(traceparent) {
		octets := make([]byte, 24)
		random(octets)
		traceparent = "00-" + hex.EncodeToString(octets[:16]) + "-" + hex.EncodeToString(octets[16:]) + "-01"
	}
	now, name := time.Now().UTC().Format(time.RFC3339Nano), integration.String()
	headers := amqp.Table{
		"cloudEvents_id": id.String(), "cloudEvents_specversion": "1.0", "cloudEvents_source": "/clickup/" + name,
		"cloudEvents_type": kind, "cloudEvents_time": now, "cloudEvents_integrationid": name,
		"traceparent": traceparent, "cloudEvents_publishedat": now,
	}
	if subject != "" {
		headers["cloudEvents_subject"] = subject
	}
	return envelope{id.String(), kind, traceparent, headers}
}

func answered(started time.Time, body []byte, integration string, event envelope, good bool) {
	status, outcome, publish := 200, "accepted", "stored"
	if !good {
		status, outcome, publish = 503, "unavailable", "failed"
	}
	now := time.Now()
	took := now.Sub(started).Seconds()
	requests.WithLabelValues(outcome, strconv.Itoa(status)).Inc()
	seconds.WithLabelValues(outcome).Observe(took)
	published.WithLabelValues("rabbitmq", publish).Observe(took)
	if good {
		stored.WithLabelValues("broker").Inc()
	}
	octets, err := json.Marshal(line{
		"event.received", "info", now.UTC().Format(time.RFC3339Nano), status, math.Round(took*10000) / 10, len(body),
		outcome, integration, event.id, event.kind, event.traceparent, "broker",
	})
	if err != nil {
		log.Fatal(err)
	}
	lines.Println(string(octets))
}

// publisher keeps one channel. The waiter is there before its message is written: with the library's own deferred
// confirms an early one could be missed (1.5.0).
type publisher struct {
	mutex    sync.Mutex
	channel  *amqp.Channel
	exchange string
	waiters  map[uint64]waiter
	numbers  map[string]uint64
}

type waiter struct {
	done chan bool
	id   string
}

func newPublisher(url, exchange string) *publisher {
	connection, err := amqp.Dial(url)
	if err != nil {
		log.Fatal(err)
	}
	channel, err := connection.Channel()
	if err != nil {
		log.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		log.Fatal(err)
	}
	p := &publisher{channel: channel, exchange: exchange, waiters: map[uint64]waiter{}, numbers: map[string]uint64{}}
	// Confirms have room, for the library holds a lock that a publish needs while it hands one out; returns have none,
	// so that one is taken before the confirm that follows it is handed out.
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1<<16))
	returns := channel.NotifyReturn(make(chan amqp.Return))
	go func() {
		for {
			select {
			case returned, open := <-returns:
				if !open {
					log.Fatal("the channel is gone")
				}
				p.mutex.Lock()
				number := p.numbers[returned.MessageId]
				p.mutex.Unlock()
				p.settle(number, false)
			case confirmed := <-confirms:
				p.settle(confirmed.DeliveryTag, confirmed.Ack)
			}
		}
	}()
	return p
}

func (p *publisher) settle(number uint64, stored bool) {
	p.mutex.Lock()
	found, there := p.waiters[number]
	delete(p.waiters, number)
	delete(p.numbers, found.id)
	p.mutex.Unlock()
	if there {
		found.done <- stored
	}
}

func (p *publisher) publish(key string, headers amqp.Table, body []byte) bool {
	octets := make([]byte, 16)
	random(octets)
	id := hex.EncodeToString(octets)
	done := make(chan bool, 1)
	p.mutex.Lock()
	number := p.channel.GetNextPublishSeqNo()
	p.waiters[number], p.numbers[id] = waiter{done, id}, number
	err := p.channel.Publish(p.exchange, key, true, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: id, Body: body,
		Headers: headers,
	})
	p.mutex.Unlock()
	if err != nil {
		return false
	}
	select {
	case stored := <-done:
		return stored
	case <-time.After(5 * time.Second):
		return false
	}
}

func main() {
	least := os.Getenv("LEAST") != ""
	if err := json.Unmarshal([]byte(os.Getenv("EVENTS")), &events); err != nil {
		log.Fatal(err)
	}
	secrets := map[uuid.UUID][]byte{uuid.FromStringOrNil(os.Getenv("INTEGRATION_ID")): []byte(os.Getenv("SECRET"))}
	p := newPublisher(os.Getenv("AMQP_URL"), os.Getenv("EXCHANGE"))
	http.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, prefix)
		integration := uuid.FromStringOrNil(name)
		secret, known := secrets[integration]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("x-signature"))) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var event envelope
		if least {
			octets := make([]byte, 16)
			random(octets)
			id := hex.EncodeToString(octets)
			kind := "clickup.task.updated"
			event = envelope{id, kind, "", amqp.Table{"cloudEvents_id": id, "cloudEvents_type": kind}}
		} else {
			event = wrap(integration, body, r.Header.Get("traceparent"))
		}
		good := p.publish(event.kind+"."+name, event.headers, body)
		if !least {
			answered(started, body, name, event, good)
		}
		if !good {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("content-type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"event_id": event.id})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
