// redigo: go_client PORT
package main

import (
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

func check(ok bool, what ...interface{}) {
	if !ok {
		fmt.Fprintln(os.Stderr, append([]interface{}{"failed:"}, what...)...)
		os.Exit(1)
	}
}

func eventually(what string, f func() bool) {
	for i := 0; i < 500; i++ {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(false, "never:", what)
}

func main() {
	address := "127.0.0.1:" + os.Args[1]
	pool := &redis.Pool{MaxIdle: 8, Dial: func() (redis.Conn, error) {
		return redis.Dial("tcp", address, redis.DialReadTimeout(10*time.Second), redis.DialClientName("go"), redis.DialDatabase(2))
	}}
	c := pool.Get()
	_, err := c.Do("FLUSHALL")
	check(err == nil, err)
	status, err := redis.String(c.Do("SET", "k", []byte("v\x00\r\n")))
	check(err == nil && status == "OK", err)
	eventually("get", func() bool { v, _ := redis.Bytes(c.Do("GET", "k")); return string(v) == "v\x00\r\n" })
	var wait sync.WaitGroup
	for g := 0; g < 20; g++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			c := pool.Get()
			defer c.Close()
			for i := 0; i < 50; i++ {
				_, err := redis.Int(c.Do("INCR", "n"))
				check(err == nil, err)
			}
		}()
	}
	wait.Wait()
	n, err := redis.Int(c.Do("INCR", "n"))
	check(n == 1001, n, err)
	for i := 0; i < 1000; i++ {
		c.Send("ECHO", i)
		c.Send("INCR", "p")
	}
	c.Flush()
	for i := 0; i < 1000; i++ {
		e, err := redis.Int(c.Receive())
		check(err == nil && e == i, e, i, err)
		p, err := redis.Int(c.Receive())
		check(err == nil && p == i+1, p, err)
	}
	c.Send("MULTI")
	c.Send("SET", "t", 1)
	c.Send("INCR", "t")
	values, err := redis.Values(c.Do("EXEC"))
	check(err == nil && len(values) == 2 && values[1] == int64(2), values, err)
	script := redis.NewScript(1, "return {KEYS[1], ARGV[1]}")
	for i := 0; i < 3; i++ {
		s, err := redis.Strings(script.Do(c, "k", "a"))
		check(err == nil && reflect.DeepEqual(s, []string{"k", "a"}), s, err)
	}
	_, err = c.Do("LPUSH", "k", "x")
	check(err != nil && err.Error()[:9] == "WRONGTYPE", err)
	subscriber := redis.PubSubConn{Conn: pool.Get()}
	subscriber.Subscribe("ch")
	_, ok := subscriber.Receive().(redis.Subscription)
	check(ok, "subscribe")
	for i := 0; i < 50; i++ {
		c.Do("PUBLISH", "ch", i)
	}
	for i := 0; i < 50; i++ {
		m, ok := subscriber.Receive().(redis.Message)
		check(ok && string(m.Data) == fmt.Sprint(i), m)
	}
	subscriber.Unsubscribe()
	subscriber.Receive()
	subscriber.Close()
	go func() {
		time.Sleep(200 * time.Millisecond)
		c := pool.Get()
		c.Do("RPUSH", "q", "job")
		c.Close()
	}()
	pair, err := redis.Strings(c.Do("BLPOP", "q", 5))
	check(err == nil && reflect.DeepEqual(pair, []string{"q", "job"}), pair, err)
	for i := 0; i < 500; i++ {
		c.Send("SADD", "s", fmt.Sprint("m", i))
	}
	c.Do("")
	eventually("sscan", func() bool {
		all, cursor := map[string]bool{}, "0"
		for {
			page, err := redis.Values(c.Do("SSCAN", "s", cursor))
			check(err == nil, err)
			var members []string
			redis.Scan(page, &cursor, &members)
			for _, m := range members {
				all[m] = true
			}
			if cursor == "0" {
				return len(all) == 500
			}
		}
	})
	c.Close()
	fmt.Println("ok")
}
