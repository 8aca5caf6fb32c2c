// The roles of the workloads, as the Python files beside this directory describe them.

using System;
using System.Collections.Generic;
using System.IO;
using LiteNetLib;

static class Roles
{
    const int Hello = 4;

    public static void Prepare(Side side, string workload, string role, Dictionary<string, double> o)
    {
        switch (workload + " " + role)
        {
            case "saturated serve": CountAndConfirm(side, o); break;
            case "saturated dial": KeepFull(side, o); break;
            case "unreliable serve": CountUnreliable(side, o); break;
            case "unreliable dial": SendSteadily(side, o); break;
            case "large serve": TakeLarge(side, o); break;
            case "large dial": SendLarge(side, o); break;
            case "ping_pong serve": Answer(side, o); break;
            case "ping_pong dial": Ask(side, o); break;
            case "crowd serve": Crowd(side, o); break;
            case "lossy serve":
            case "lossy dial":
                Prepare(side, o["size"] > 0 ? "large" : "saturated", role, o);
                break;
            case "churn serve": CountConnections(side, o); break;
            case "churn dial": ComeAndGo(side, o); break;
            case "growth serve":
                if (o["window"] > 0)
                    CountAndConfirm(side, o);
                else
                    Echo(side, o);
                break;
            case "growth dial": KeepFull(side, o); break;
            case "records alone": Records.Measure(o); break;
            default: throw new ArgumentException("no role is called " + workload + " " + role);
        }
    }

    static byte[] Message(int size)
    {
        var message = new byte[size];
        for (int i = 0; i < size; i++)
            message[i] = (byte)(i % 128);
        return message;
    }

    static void SayPort(Side side, Ears ears)
    {
        Program.Say("port", side.Listen(ears));
    }

    static void ReportRate(Side side, Dictionary<string, double> o, Func<long> count)
    {
        side.Later(o["warm"], () =>
        {
            double began = Side.Now, cpu = Side.Cpu;
            long before = count();
            side.Later(o["seconds"], () =>
            {
                double took = Side.Now - began, more = count() - before;
                object cost = more > 0 ? (object)((Side.Cpu - cpu) / more) : null;
                Program.Say("rate", more / took, "cpu", cost);
            });
        });
    }

    static void CountAndConfirm(Side side, Dictionary<string, double> o)
    {
        int every = (int)o["every"];
        long count = 0;
        var confirmation = new byte[4];
        SayPort(side, new Ears
        {
            Connected = peer => ReportRate(side, o, () => count),
            Received = (peer, reader) =>
            {
                if (++count % every == 0)
                    side.Send(peer, confirmation);
            },
        });
    }

    static void KeepFull(Side side, Dictionary<string, double> o)
    {
        int every = (int)o["every"], window = (int)o["window"] / every * every;
        byte[] message = Message(48);
        long count = 0;
        Action<NetPeer, int> fill = (peer, messages) =>
        {
            for (int i = 0; i < messages; i++)
                side.Send(peer, message);
            count += messages;
        };
        side.Dial((int)o["port"], new Ears
        {
            Connected = peer =>
            {
                ReportRate(side, o, () => count);
                fill(peer, window);
            },
            Received = (peer, reader) => fill(peer, every),
        });
    }

    static void CountUnreliable(Side side, Dictionary<string, double> o)
    {
        const double grace = 0.3;
        long count = 0;
        SayPort(side, new Ears
        {
            Connected = peer => side.Later(o["warm"] - grace, () =>
            {
                long before = count;
                double cpu = Side.Cpu;
                side.Later(o["seconds"] + 2 * grace, () =>
                    Program.Say("count", count - before, "cpu", Side.Cpu - cpu));
            }),
            Received = (peer, reader) => count++,
        });
    }

    static void SendSteadily(Side side, Dictionary<string, double> o)
    {
        const double pause = 0.001;
        const long burst = 4096;
        byte[] message = Message(48);
        long count = 0;
        double began = 0, cpu = 0;
        NetPeer server = null;
        Action turn = null;
        turn = () =>
        {
            double passed = Side.Now - began;
            if (passed >= o["seconds"])
            {
                Program.Say("count", count, "rate", count / passed, "cpu", Side.Cpu - cpu);
                return;
            }
            long due = Math.Min((long)(passed * o["rate"]) - count, burst);
            for (long i = 0; i < due; i++)
                side.Send(server, message, DeliveryMethod.Unreliable);
            count += due;
            side.Later(pause, turn);
        };
        side.Dial((int)o["port"], new Ears
        {
            Connected = peer =>
            {
                server = peer;
                side.Send(peer, message);
                side.Later(o["warm"], () =>
                {
                    began = Side.Now;
                    cpu = Side.Cpu;
                    turn();
                });
            },
        });
    }

    static void TakeLarge(Side side, Dictionary<string, double> o)
    {
        double before = 0;
        SayPort(side, new Ears
        {
            Received = (peer, reader) =>
            {
                double now = Side.Now;
                int size = reader.AvailableBytes;
                if (size == Hello)
                {
                    File.WriteAllText("/proc/self/clear_refs", "5");
                    before = Side.Memory("VmRSS");
                    side.Send(peer, reader.GetRemainingBytes());
                    return;
                }
                bool sound = true;
                for (int i = 0; i < size / 2; i++)
                    sound &= reader.RawData[reader.Position + i]
                        == reader.RawData[reader.Position + size / 2 + i];
                Program.Say(
                    "received", now, "size", size, "sound", sound ? 1 : 0,
                    "more", Side.Memory("VmHWM") - before, "cpu", Side.Cpu);
            },
        });
    }

    static void SendLarge(Side side, Dictionary<string, double> o)
    {
        byte[] message = Message((int)o["size"]);
        side.Dial((int)o["port"], new Ears
        {
            Connected = peer => side.Later(o["settle"], () => side.Send(peer, new byte[Hello])),
            Received = (peer, reader) =>
            {
                double sent = Side.Now;
                side.Send(peer, message);
                Program.Say("sent", sent);
            },
        });
    }

    static void Answer(Side side, Dictionary<string, double> o)
    {
        SayPort(side, new Ears
        {
            Received = (peer, reader) => side.Send(peer, reader.GetRemainingBytes()),
        });
        side.Later(o["warm"] + o["seconds"], () => Program.Say());
    }

    static void Ask(Side side, Dictionary<string, double> o)
    {
        byte[] message = Message(32);
        var times = new List<double>();
        double asked = 0, cpu = 0;
        bool measuring = false;
        side.Dial((int)o["port"], new Ears
        {
            Connected = peer =>
            {
                asked = Side.Now;
                side.Send(peer, message);
                side.Later(o["warm"], () =>
                {
                    cpu = Side.Cpu;
                    measuring = true;
                    side.Later(o["seconds"], () =>
                    {
                        measuring = false;
                        double used = Side.Cpu - cpu;
                        double[] sorted = times.ToArray();
                        Array.Sort(sorted);
                        Program.Say(
                            "p50", sorted[sorted.Length / 2],
                            "p99", sorted[sorted.Length * 99 / 100],
                            "count", sorted.Length, "cpu", used);
                    });
                });
            },
            Received = (peer, reader) =>
            {
                double now = Side.Now;
                if (measuring)
                    times.Add(now - asked);
                asked = Side.Now;
                side.Send(peer, message);
            },
        });
    }

    static void Crowd(Side side, Dictionary<string, double> o)
    {
        const double period = 0.05;
        int clients = (int)o["clients"], turns = (int)o["turns"], connections = 0;
        double memory = Side.Memory("VmRSS");
        Action<double, double, double> loud = (grown, idle, stayed) =>
        {
            double began = Side.Now, cpu = Side.Cpu, worst = 0;
            Action<int> turn = null;
            turn = number =>
            {
                double now = Side.Now;
                if (number == turns)
                {
                    Program.Say(
                        "memory", grown, "cpu", idle, "connections", stayed, "late", worst,
                        "loud", (Side.Cpu - cpu) / (now - began));
                    return;
                }
                worst = Math.Max(worst, now - began - number * period);
                var message = new byte[48];
                BitConverter.GetBytes(now).CopyTo(message, 0);
                side.Broadcast(message);
                double wait = began + (number + 1) * period - Side.Now;
                side.Later(Math.Max(0, wait), () => turn(number + 1));
            };
            turn(0);
        };
        SayPort(side, new Ears
        {
            Connected = peer =>
            {
                if (++connections == clients)
                    side.Later(o["settle"], () =>
                    {
                        double cpu = Side.Cpu, grown = Side.Memory("VmRSS") - memory;
                        side.Later(o["quiet"], () => loud(grown, Side.Cpu - cpu, connections));
                    });
            },
            Disconnected = peer => connections--,
        });
    }

    static void CountConnections(Side side, Dictionary<string, double> o)
    {
        long count = 0;
        SayPort(side, new Ears
        {
            Connected = peer =>
            {
                if (++count == 1)
                    ReportRate(side, o, () => count);
            },
        });
    }

    static void ComeAndGo(Side side, Dictionary<string, double> o)
    {
        for (int i = 0; i < (int)o["clients"]; i++)
        {
            Action again = null;
            again = side.Dial((int)o["port"], new Ears
            {
                Connected = peer =>
                {
                    side.HangUp(peer);
                    again();  // need not wait to be told, which would be another tick
                },
            });
        }
        side.Later(o["warm"] + o["seconds"], () => Program.Say("cpu", Side.Cpu));
    }

    static void Echo(Side side, Dictionary<string, double> o)
    {
        const double grace = 0.1;
        long count = 0;
        int connections = 0;
        Action<double> work = idle =>
        {
            double began = Side.Now, cpu = Side.Cpu;
            long before = count;
            side.Later(o["seconds"], () =>
            {
                double used = Side.Cpu - cpu - idle * (Side.Now - began);
                long messages = count - before;
                Program.Say("cpu", messages > 0 ? (object)(used / messages) : null);
            });
        };
        SayPort(side, new Ears
        {
            Connected = peer =>
            {
                if (++connections == (int)o["connections"])
                    side.Later(o["warm"], () =>
                    {
                        double cpu = Side.Cpu;
                        side.Later(o["quiet"], () =>
                        {
                            double idle = (Side.Cpu - cpu) / o["quiet"];
                            side.Later(grace, () => work(idle));
                        });
                    });
            },
            Received = (peer, reader) =>
            {
                count++;
                side.Send(peer, reader.GetRemainingBytes());
            },
        });
    }
}
