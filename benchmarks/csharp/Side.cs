// What is the same in all roles: managers, in the mode that is measured, and a clock.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Threading;
using LiteNetLib;

// What a role wants to hear: when it is polled for, each tick, as LiteNetLib's own samples do; at once
// in the modes trigger, from a thread of each manager, and manual.
sealed class Ears
{
    public Action<NetPeer> Connected = peer => { };
    public Action<NetPeer, NetPacketReader> Received = (peer, reader) => { };
    public Action<NetPeer> Disconnected = peer => { };
}

sealed class Side
{
    const string Key = "benchmark";

    readonly bool _manual, _trigger;
    readonly int _updateTime;
    readonly List<NetManager> _managers = new List<NetManager>();
    readonly List<KeyValuePair<double, Action>> _timers = new List<KeyValuePair<double, Action>>();

    public Side(string mode)
    {
        _manual = mode == "manual";
        _trigger = mode == "trigger";
        _updateTime = mode == "1ms" ? 1 : 15;
    }

    // Seconds since the machine was started: CLOCK_MONOTONIC, as Python's time.monotonic().
    public static double Now
    {
        get { return Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency; }
    }

    // Seconds of CPU time that this process has used.
    public static double Cpu
    {
        get { return Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds; }
    }

    // Bytes of memory, of the lines of /proc/self/status.
    public static double Memory(string name)
    {
        foreach (string line in File.ReadAllLines("/proc/self/status"))
            if (line.StartsWith(name + ":"))
                return double.Parse(line.Substring(name.Length + 1).Replace("kB", "").Trim()) * 1024;
        throw new InvalidOperationException("the system does not tell " + name);
    }

    public int Listen(Ears ears)
    {
        return Open(ears).LocalPort;
    }

    // Gives what connects again from the same socket.
    public Action Dial(int port, Ears ears)
    {
        NetManager manager = Open(ears);
        var server = new IPEndPoint(IPAddress.Loopback, port);
        Action connect = () => Connect(manager, server);
        connect();
        return connect;
    }

    public void Send(NetPeer peer, byte[] data, DeliveryMethod method = DeliveryMethod.ReliableOrdered)
    {
        peer.Send(data, method);
        if (_trigger)
            peer.NetManager.TriggerUpdate();
    }

    public void Broadcast(byte[] data)
    {
        _managers[0].SendToAll(data, DeliveryMethod.ReliableOrdered);
        if (_trigger)
            _managers[0].TriggerUpdate();
    }

    public void HangUp(NetPeer peer)
    {
        peer.Disconnect();
        if (_trigger)
            peer.NetManager.TriggerUpdate();
    }

    public void Later(double seconds, Action call)
    {
        lock (_timers)
            _timers.Add(new KeyValuePair<double, Action>(Now + seconds, call));
    }

    // Until the process is ended.
    public void Run()
    {
        var clock = Stopwatch.StartNew();
        long updated = 0;
        while (true)
        {
            Fire();
            if (!_manual)
            {
                Thread.Sleep(1);
                bool poll = clock.ElapsedMilliseconds >= updated + _updateTime;
                if (poll)
                    updated = clock.ElapsedMilliseconds;
                foreach (NetManager manager in _managers.ToArray())
                {
                    if (_trigger)
                        // What was acknowledged makes room, and nobody hears of it who could trigger.
                        manager.TriggerUpdate();
                    else if (poll)
                        manager.PollEvents();
                }
                continue;
            }
            long now = clock.ElapsedMilliseconds;
            foreach (NetManager manager in _managers)
            {
                manager.ManualReceive();
                manager.ManualUpdate((int)(now - updated));
            }
            updated = now;
        }
    }

    void Fire()
    {
        while (true)
        {
            Action due = null;
            lock (_timers)
            {
                double now = Now;
                for (int i = 0; i < _timers.Count && due == null; i++)
                    if (_timers[i].Key <= now)
                    {
                        due = _timers[i].Value;
                        _timers.RemoveAt(i);
                    }
            }
            if (due == null)
                return;
            due();
        }
    }

    void Connect(NetManager manager, IPEndPoint server)
    {
        manager.Connect(server, Key);
        if (_trigger)
            manager.TriggerUpdate();
    }

    NetManager Open(Ears ears)
    {
        var listener = new EventBasedNetListener();
        var manager = new NetManager(listener)
        {
            AutoRecycle = true,
            IPv6Enabled = IPv6Mode.Disabled,
            UnsyncedEvents = _trigger,
            UpdateTime = _updateTime,
        };
        listener.ConnectionRequestEvent += request => request.AcceptIfKey(Key);
        listener.PeerConnectedEvent += peer => ears.Connected(peer);
        listener.PeerDisconnectedEvent += (peer, info) => ears.Disconnected(peer);
        if (_trigger)
            listener.NetworkReceiveEvent += (peer, reader, method) =>
            {
                ears.Received(peer, reader);
                manager.TriggerUpdate();  // so that the acknowledgement does not wait for the tick
            };
        else
            listener.NetworkReceiveEvent += (peer, reader, method) => ears.Received(peer, reader);
        if (!(_manual
            ? manager.StartInManualMode(IPAddress.Loopback, IPAddress.IPv6Loopback, 0)
            : manager.Start(IPAddress.Loopback, IPAddress.IPv6Loopback, 0)))
            throw new InvalidOperationException("no port");
        _managers.Add(manager);
        return manager;
    }
}
