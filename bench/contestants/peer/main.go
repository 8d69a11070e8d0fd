// Go: net/http and amqp091 with confirms matched by number, returns by message id.
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const prefix = "/webhooks/clickup/"

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

func (p *publisher) publish(key, id string, body []byte) bool {
	done := make(chan bool, 1)
	p.mutex.Lock()
	number := p.channel.GetNextPublishSeqNo()
	p.waiters[number], p.numbers[id] = waiter{done, id}, number
	err := p.channel.Publish(p.exchange, key, true, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, MessageId: id, Body: body,
		Headers: amqp.Table{"cloudEvents_id": id, "cloudEvents_type": "clickup.task.updated"},
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
	secret := []byte(os.Getenv("SECRET"))
	p := newPublisher(os.Getenv("AMQP_URL"), os.Getenv("EXCHANGE"))
	http.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("x-signature"))) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		id := hex.EncodeToString(random)
		if !p.publish("clickup.task.updated."+strings.TrimPrefix(r.URL.Path, prefix), id, body) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("content-type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"event_id": id})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
