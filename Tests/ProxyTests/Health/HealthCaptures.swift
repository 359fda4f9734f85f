/// Replies of a real redis-server 7.0.15 (Debian), captured on a loopback port.
enum Captured {
    /// `text` with CRLF at each line's end, the last one included.
    static func lines(_ text: String) -> [UInt8] {
        Array((text + "\n").split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n").utf8)
    }

    /// INFO server.
    static let infoServer = lines(
        """
        $584
        # Server
        redis_version:7.0.15
        redis_git_sha1:00000000
        redis_git_dirty:0
        redis_build_id:ae4d7c971a948f0
        redis_mode:standalone
        os:Linux 6.18.44-fc-v595 x86_64
        arch_bits:64
        monotonic_clock:POSIX clock_gettime
        multiplexing_api:epoll
        atomicvar_api:c11-builtin
        gcc_version:12.2.0
        process_id:16216
        process_supervised:no
        run_id:4e60368a8af868d6ac1c5eb32be87bcf173c044c
        tcp_port:21792
        server_time_usec:1795276434469138
        uptime_in_seconds:1
        uptime_in_days:0
        hz:10
        configured_hz:10
        lru_clock:114322
        executable:/tmp/mon-redis/redis-server
        config_file:
        io_threads_active:0

        """)

    /// CONFIG GET databases.
    static let configGetDatabases = lines(
        """
        *2
        $9
        databases
        $2
        16
        """)

    /// COMMAND INFO get set ping publish: the same shape as COMMAND.
    static let commands = lines(
        """
        *4
        *10
        $3
        get
        :2
        *2
        +readonly
        +fast
        :1
        :1
        :1
        *3
        +@read
        +@string
        +@fast
        *0
        *1
        *6
        $5
        flags
        *2
        +RO
        +access
        $12
        begin_search
        *4
        $4
        type
        $5
        index
        $4
        spec
        *2
        $5
        index
        :1
        $9
        find_keys
        *4
        $4
        type
        $5
        range
        $4
        spec
        *6
        $7
        lastkey
        :0
        $7
        keystep
        :1
        $5
        limit
        :0
        *0
        *10
        $3
        set
        :-3
        *2
        +write
        +denyoom
        :1
        :1
        :1
        *3
        +@write
        +@string
        +@slow
        *0
        *1
        *8
        $5
        notes
        $48
        RW and ACCESS due to the optional `GET` argument
        $5
        flags
        *4
        +RW
        +access
        +update
        +variable_flags
        $12
        begin_search
        *4
        $4
        type
        $5
        index
        $4
        spec
        *2
        $5
        index
        :1
        $9
        find_keys
        *4
        $4
        type
        $5
        range
        $4
        spec
        *6
        $7
        lastkey
        :0
        $7
        keystep
        :1
        $5
        limit
        :0
        *0
        *10
        $4
        ping
        :-1
        *1
        +fast
        :0
        :0
        :0
        *2
        +@fast
        +@connection
        *2
        $25
        request_policy:all_shards
        $29
        response_policy:all_succeeded
        *0
        *0
        *10
        $7
        publish
        :3
        *4
        +pubsub
        +loading
        +stale
        +fast
        :0
        :0
        :0
        *2
        +@pubsub
        +@fast
        *0
        *0
        *0
        """)

    /// ROLE of a master with one replica.
    static let roleMaster = lines(
        """
        *3
        $6
        master
        :148
        *1
        *3
        $9
        127.0.0.1
        $5
        21791
        $3
        148
        """)

    /// ROLE of a connected replica.
    static let roleReplica = lines(
        """
        *5
        $5
        slave
        $9
        127.0.0.1
        :21790
        $9
        connected
        :148
        """)

    /// INFO replication of a master with one replica.
    static let infoMaster = lines(
        """
        $415
        # Replication
        role:master
        connected_slaves:1
        slave0:ip=127.0.0.1,port=21791,state=online,offset=148,lag=1
        master_failover_state:no-failover
        master_replid:0d6b605585d290a3d676630a72112eaa4389e92d
        master_replid2:0000000000000000000000000000000000000000
        master_repl_offset:148
        second_repl_offset:-1
        repl_backlog_active:1
        repl_backlog_size:1048576
        repl_backlog_first_byte_offset:1
        repl_backlog_histlen:148

        """)

    /// INFO replication of a connected replica.
    static let infoReplica = lines(
        """
        $585
        # Replication
        role:slave
        master_host:127.0.0.1
        master_port:21790
        master_link_status:up
        master_last_io_seconds_ago:5
        master_sync_in_progress:0
        slave_read_repl_offset:148
        slave_repl_offset:148
        slave_priority:100
        slave_read_only:1
        replica_announced:1
        connected_slaves:0
        master_failover_state:no-failover
        master_replid:0d6b605585d290a3d676630a72112eaa4389e92d
        master_replid2:0000000000000000000000000000000000000000
        master_repl_offset:148
        second_repl_offset:-1
        repl_backlog_active:1
        repl_backlog_size:1048576
        repl_backlog_first_byte_offset:51
        repl_backlog_histlen:98

        """)
}
